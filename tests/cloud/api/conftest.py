"""A whole head end in this process: web on a free port, ingest, live rooms, and the authority."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import uvicorn
from hesper_cloud import provision
from hesper_cloud.accounts import tokens
from hesper_cloud.accounts.roles import Permission, Role, granted
from hesper_cloud.api.application import create_app, with_memory
from hesper_cloud.api.socket_protocol import SocketProtocol
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.process import loop, now_utc
from hesper_cloud.db.authority import ApiToken, User
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.db.watch import Watch
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.keys import receipt_signer
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import BrokerSettings, Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.web_settings import LimitSettings, WebSettings
from hesper_contracts.signing import Signer
from websockets.sync.client import ClientConnection, connect

PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}
DEADLINE_S = 60.0
FEW_SOCKETS = WebSettings(limits=LimitSettings(sockets=12))


class RealClock:
    """The machine's clock, in the form of the tests' own."""

    @property
    def now(self) -> datetime:
        return now_utc()

    def __call__(self) -> datetime:
        return now_utc()


@dataclass
class House:
    """One running head end."""

    url: str
    services: Services
    head_end: Any
    ingest: Ingest

    def __post_init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def headers(self, who: str) -> dict[str, str]:
        """Returns the headers of a person, who logs in once."""
        if who not in self._tokens:
            body = {"username": who, "password": PASSWORDS[who]}
            answer = httpx.post(f"{self.url}/api/v1/auth/login", json=body, timeout=DEADLINE_S)
            self._tokens[who] = answer.json()["token"]
        return {"Authorization": f"Bearer {self._tokens[who]}"}

    def machine(
        self, name: str, *scopes: Permission, areas: list[str] | None = None
    ) -> dict[str, str]:
        """Returns the headers of a service account with a token of some scopes."""
        secret, now = tokens.new_api_token(), now_utc()
        digest = tokens.digest(secret)
        account = User(
            username=name,
            role="service",
            password_hash="",
            created_at=now,
            areas=areas,
            scopes=sorted(granted(Role.SERVICE)),
        )
        token = ApiToken(
            id=digest[:16],
            digest=digest,
            username=name,
            name="to try",
            scopes=sorted(scopes),
            created_at=now,
            created_by="cleo",
            expires_at=now + timedelta(days=1),
        )
        with writing(self.head_end.databases.authority) as session:
            session.merge(account)
            session.add(token)
        return {"Authorization": f"Bearer {secret}"}

    def client(self, who: str = "", **headers: str) -> httpx.Client:
        """Returns a client in the name of a person, or of nobody."""
        known = self.headers(who) if who else {}
        return httpx.Client(
            base_url=f"{self.url}/api/v1", headers=known | headers, timeout=DEADLINE_S
        )

    def put_behind(self, account: str, *meters: str) -> None:
        """Has meters brought by an account over HTTP, as if they were its own."""
        sender, databases = f"http-{account}", self.head_end.databases
        provision.add_gateway(databases, sender, Signer.generate().public_key.hex())
        with writing(databases.registry) as session:
            session.merge(Gateway(id=sender))
            session.flush()
            for meter in meters:
                session.get_one(Meter, meter).gateway_id = sender

    def live(self, who: str | dict[str, str]) -> ClientConnection:
        """Opens the live connection of a person, or with headers."""
        headers = self.headers(who) if isinstance(who, str) else who
        url = self.url.replace("http", "ws") + "/api/v1/live"
        return connect(url, additional_headers=headers, open_timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory,
    prepared_state: Path,
    gateway_signer: Any,
    head_end_class: Any,
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house") / "state"
    shutil.copytree(prepared_state, folder)
    with ExitStack() as stack:
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))  # and does not listen: a broker that is away
        broker = BrokerSettings(port=nobody.getsockname()[1])
        head_end = head_end_class(
            Settings(state=folder, broker=broker, web=FEW_SOCKETS), gateway_signer, RealClock()
        )
        stack.callback(head_end.close)
        at_any_hour = Policy(hours=EVER).model_dump(mode="json")
        provision.activate_policy(head_end.databases.authority, "at any hour", at_any_hour)
        with writing(head_end.databases.registry) as session:
            for meter in ("HES12642984", "HES12642985"):
                row = session.get_one(Meter, meter)
                row.relay_confirmed_at = row.last_contact_at = now_utc()
                row.area = "North" if meter.endswith("4") else "South"
        yield stack.enter_context(_Running(head_end, stack)).house


class _Running:
    """The threads of a head end: its web and ingest on one loop, the authority beside it."""

    def __init__(self, head_end: Any, stack: ExitStack) -> None:
        settings, registry = head_end.settings, head_end.databases.registry
        store, latest = DuckDbStore(settings.readings_file), LatestValues()
        stack.callback(store.close)
        authority = open_engine(settings.database.authority_url, read_only=True)
        stack.callback(authority.dispose)
        signer = receipt_signer(settings.keys)
        self._ingest = Ingest(settings, store, registry, signer, latest)
        sources = Sources(settings, registry, authority, store, latest, now_utc)
        self._services = assemble(sources, lambda: 0.0, self._ingest.door)
        stack.callback(self._services.energy.close)
        app = with_memory(create_app(self._services, settings))
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_config=None, lifespan="off", ws=SocketProtocol
        )
        self._server = uvicorn.Server(config)
        self._head_end = head_end
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=lambda: asyncio.run(self._serve())),
            threading.Thread(target=self._decide),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        deadline = threading.Event()
        for _ in range(int(DEADLINE_S / 0.05)):
            if self._server.started:
                break
            deadline.wait(0.05)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        self.house = House(url, self._services, self._head_end, self._ingest)
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._stop.set()
        for thread in self._threads:
            thread.join()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            roles = [
                group.create_task(self._ingest.run()),
                group.create_task(self._services.live.run()),
                group.create_task(self._services.live_feed.run()),
                group.create_task(self._services.event_stream.run()),
            ]
            await self._server._serve()
            for role in roles:
                role.cancel()

    def _decide(self) -> None:
        watch = Watch(self._head_end.settings.database.url)
        loop(self._head_end.authority, watch, 0.005, self._stop)
        watch.close()


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Waits until something is true, and returns it."""

    def wait(condition: Callable[[], Any]) -> Any:
        pause = threading.Event()
        for _ in range(int(DEADLINE_S / 0.02)):
            if found := condition():
                return found
            pause.wait(0.02)
        raise AssertionError("it never came true")

    return wait


@pytest.fixture(scope="module")
def viewer(house: House) -> Iterator[httpx.Client]:
    with house.client("vic") as client:
        yield client


@pytest.fixture(scope="module")
def operator(house: House) -> Iterator[httpx.Client]:
    with house.client("ann") as client:
        yield client
