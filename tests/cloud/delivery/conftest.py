"""Real receivers on free ports: a mail server with STARTTLS and log-in, a webhook over HTTPS."""

import datetime
import ipaddress
import queue
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hesper_cloud.alert_settings import DeliverySettings
from hesper_cloud.db.delivery import Delivery, DeliveryAttempt, DeliveryRoute, DeliveryTarget
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.delivery.routes import RoutePolicy
from hesper_cloud.delivery.routing import Router
from hesper_cloud.delivery.sending import Sender
from hesper_cloud.delivery.targets import seal_context
from hesper_cloud.delivery.transports import Transports
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.settings import Settings
from hesper_cloud.vault import Vault
from sqlalchemy import Engine, select
from tables import make_tables

NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
LOOPBACK = ("127.0.0.0/8", "::1/128")
USERNAME, PASSWORD = "hesper@example.com", "a mail server's password"
ARRIVES_S = 60.0


@dataclass(frozen=True)
class Authority:
    """A certificate for 127.0.0.1 and the authority that signed it: itself."""

    pem: str
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("authority") / "both.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return Authority(pem.decode("ascii"), context)


class MailServer:
    """What arrived, and how the server behaves."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[tuple[Envelope, EmailMessage]] = queue.Queue()
        self.refuse = ""

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope
    ) -> str:
        if self.refuse:
            return self.refuse
        mail = message_from_bytes(envelope.original_content, policy=default)
        self.arrived.put((envelope, mail))
        return "250 taken"

    def next(self) -> tuple[Envelope, EmailMessage]:
        return self.arrived.get(timeout=ARRIVES_S)


@dataclass
class Mail:
    """A mail server that runs."""

    server: MailServer
    port: int


@contextmanager
def running(server: MailServer, authority: Authority, *, tls: bool = False) -> Iterator[Mail]:
    def check(_server: Any, _session: Any, _envelope: Any, _how: str, given: Any) -> AuthResult:
        known = LoginPassword(USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=given == known, handled=False)

    secured = {"ssl_context": authority.context} if tls else {"tls_context": authority.context}
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=0,
        ready_timeout=60,
        authenticator=check,
        auth_required=not tls,  # aiosmtpd knows log-in after STARTTLS alone
        auth_require_tls=True,
        require_starttls=not tls,
        **secured,
    )
    with serving(controller) as port:
        yield Mail(server, port)


@contextmanager
def serving(controller: Controller) -> Iterator[int]:
    """Runs a mail server on a free port; its own way to find out that it runs asks port 0."""

    def knock() -> None:
        with socket.create_connection(controller.server.sockets[0].getsockname()):
            assert controller._factory_invoked.wait(ARRIVES_S)

    controller._trigger_server = knock
    controller.start()
    try:
        yield controller.server.sockets[0].getsockname()[1]
    finally:
        controller.stop()


@pytest.fixture
def plain_mail_port() -> Iterator[int]:
    """The port of a mail server that offers neither TLS nor log-in."""
    with serving(Controller(MailServer(), hostname="127.0.0.1", port=0, ready_timeout=60)) as port:
        yield port


@pytest.fixture
def mail(authority: Authority) -> Iterator[Mail]:
    with running(MailServer(), authority) as found:
        yield found


@pytest.fixture
def mail_over_tls(authority: Authority) -> Iterator[Mail]:
    with running(MailServer(), authority, tls=True) as found:
        yield found


@dataclass
class Hook:
    """A webhook's receiver: what arrived, and what it answers in turn."""

    port: int = 0
    arrived: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/alerts?from=hesper"


@contextmanager
def listening(context: ssl.SSLContext | None) -> Iterator[Hook]:
    hook = Hook()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.arrived.append((self.path, headers, body))
            status, more, octets = hook.answers.pop(0) if hook.answers else (204, {}, b"")
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            if octets:
                self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            with suppress(OSError):  # it reads no more than it wants to
                self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hook(authority: Authority) -> Iterator[Hook]:
    with listening(authority.context) as found:
        yield found


@dataclass
class House:
    """A registry with alerts, and delivery as the jobs run it."""

    engine: Engine
    settings: Settings
    now: datetime.datetime = NOON
    worked_at: set[str] = field(default_factory=set)
    broken: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.vault = Vault.of(bytes(32))
        self.alerts = Alerts(self.engine, self.clock)
        self.start()

    def start(self) -> None:
        """Begins anew, as after a restart of the process."""
        works = lambda _: lambda gateway: gateway in self.worked_at  # noqa: E731 - as jobs do it
        self.router = Router(self.engine, self.settings.delivery, self.clock, works)
        ways = Transports(self.settings, self.vault, self.clock)
        self.sender = Sender(self.engine, self.settings.delivery, self.clock, ways)

    def clock(self) -> datetime.datetime:
        return self.now

    def target(self, config: dict[str, Any], secret: str = "", name: str = "ops") -> int:
        row = DeliveryTarget(
            name=name, kind=config["kind"], config=config, version=1, made_by="cleo",
            changed_at=self.now, failures=0,
        )  # fmt: skip
        with writing(self.engine) as session:
            session.add(row)
            session.flush()
            if secret:
                locked = self.vault.lock(secret.encode(), seal_context(row.id))
                row.wrapped_key, row.sealed_secret = locked.wrapped_key, locked.box
        return row.id

    def route(self, target: int, name: str = "all", **policy: Any) -> int:
        wanted = RoutePolicy(**policy).model_dump(mode="json")
        row = DeliveryRoute(
            name=name, target_id=target, policy=wanted, version=1, changed_at=self.now
        )
        with writing(self.engine) as session:
            session.add(row)
        return row.id

    def turn(self, seconds: float = 0) -> None:
        """Lets time pass, and the jobs take their turns."""
        self.now += datetime.timedelta(seconds=seconds)
        self.router.turn()
        self.sender.turn()
        self.sender.settle()

    def outbox(self) -> list[Delivery]:
        with reading(self.engine) as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.id)))

    def attempts(self) -> list[DeliveryAttempt]:
        with reading(self.engine) as session:
            return list(session.scalars(select(DeliveryAttempt).order_by(DeliveryAttempt.id)))


@pytest.fixture(scope="session")
def house_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("house") / "hesper.db"
    engine = open_engine(f"sqlite:///{path}")
    make_tables(engine)
    with writing(engine) as session:
        session.add(Gateway(id="gw-1", state="online", attributes={}))
        session.flush()
        for meter, area in (("M1", "Harbour"), ("M2", "Old Town")):
            session.add(Meter(id=meter, gateway_id="gw-1", area=area, first_seen_at=NOON))
    engine.dispose()
    return path


@pytest.fixture
def make_house(tmp_path: Path, house_file: Path) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def make(settings: DeliverySettings | None = None, **more: Any) -> House:
        path = tmp_path / "hesper.db"
        shutil.copy(house_file, path)
        delivery = settings or DeliverySettings(reachable=LOOPBACK, timeout_s=ARRIVES_S)
        engine = open_engine(f"sqlite:///{path}")
        made.append(House(engine, Settings(state=tmp_path, delivery=delivery, **more)))
        made[-1].turn()  # what was before delivery began is history
        return made[-1]

    yield make
    for each in made:
        each.sender.close()
        each.engine.dispose()


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()
