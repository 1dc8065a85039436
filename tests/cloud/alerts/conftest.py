"""A registry with a town in it: two feeders of forty transformers, fifty homes on each."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import Request
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.alert_settings import AlertSettings
from hesper_cloud.alerting.keeping import AlertKeeping
from hesper_cloud.api.application import PREFIX, create_app
from hesper_cloud.api.who import actor_of
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, AlertChange, Element, ElementMeter, Gateway, Meter
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import Engine, event, insert, select
from tables import make_tables

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROLES = {
    "vic": Role.VIEWER,
    "ann": Role.OPERATOR,
    "ben": Role.APPROVER,
    "cleo": Role.ADMIN,
}
FEEDERS, TRANSFORMERS, HOMES = 2, 40, 50


@dataclass
class Town:
    """The registry, a clock, the door for rules and the job that keeps order."""

    engine: Engine
    now: datetime = NOON
    settings: AlertSettings = field(default_factory=AlertSettings)

    def __post_init__(self) -> None:
        self.alerts = Alerts(self.engine, self.clock)
        self.keeping = AlertKeeping(self.engine, self.settings, self.clock)

    def clock(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        """Lets time pass, and the job take its turn."""
        self.now += timedelta(seconds=seconds)
        self.keeping.turn()

    def homes(self, feeder: int, transformers: range = range(TRANSFORMERS)) -> list[str]:
        return [f"M{feeder}{t:02}{n:02}" for t in transformers for n in range(HOMES)]

    def found(self, rule: str = "", *, hidden: bool = False) -> list[Alert]:
        """The open alerts that people see, or those that are hidden."""
        query = select(Alert).where(Alert.state != "cleared", Alert.suppressed.is_(hidden))
        with reading(self.engine) as session:
            rows = session.scalars(query.order_by(Alert.id)).all()
        return [each for each in rows if each.rule.startswith(rule)]

    def steps(self, alert: int) -> list[str]:
        query = select(AlertChange.action).where(AlertChange.alert_id == alert)
        with reading(self.engine) as session:
            return list(session.scalars(query.order_by(AlertChange.id)))


def settle_town(engine: Engine) -> None:
    """Writes the town."""
    meters = [
        (f"M{f}{t:02}{n:02}", f"T{f}-{t}")
        for f in range(FEEDERS)
        for t in range(TRANSFORMERS)
        for n in range(HOMES)
    ]
    with writing(engine) as session:
        session.add(Gateway(id="gw-1", state="online", attributes={}, area="Old Town"))
        session.add(Element(id="A", kind="area", name="Old Town"))
        for f in range(FEEDERS):
            name = ("North", "South")[f]
            session.add(Element(id=f"F{f}", kind="feeder", name=name, parent="A"))
            for t in range(TRANSFORMERS):
                place = f"T{f}-{t}"
                session.add(Element(id=place, kind="transformer", name=place, parent=f"F{f}"))
        session.flush()
        same = {
            "gateway_id": "gw-1",
            "first_seen_at": NOON,
            "last_contact_at": NOON,
            "capture_period_s": 900,
            "area": "Old Town",
            "state": "commissioned",
            "life_support": False,
        }
        session.execute(insert(Meter), [{"id": meter, **same} for meter, _ in meters])
        since = {"from_at": NOON - timedelta(days=9), "role": "customer"}
        hung = [{"meter": meter, "element": place, **since} for meter, place in meters]
        session.execute(insert(ElementMeter), hung)


@pytest.fixture(scope="session")
def town_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("town") / "hesper.db"
    engine = open_engine(f"sqlite:///{path}")
    make_tables(engine)
    settle_town(engine)
    engine.dispose()
    return path


@pytest.fixture
def town(tmp_path: Path, town_file: Path) -> Iterator[Town]:
    path = tmp_path / "hesper.db"
    shutil.copy(town_file, path)
    engine = open_engine(f"sqlite:///{path}")
    yield Town(engine)
    engine.dispose()


@pytest.fixture
def counted(town: Town) -> Iterator[Callable[[], int]]:
    """Counts the statements that the registry was asked since the last time."""
    statements = [0]

    def count(*_: object) -> None:
        statements[0] += 1

    def since() -> int:
        found, statements[0] = statements[0], 0
        return found

    event.listen(town.engine, "before_cursor_execute", count)
    yield since
    event.remove(town.engine, "before_cursor_execute", count)


@pytest.fixture
def services(head_end, deciding) -> Iterator[Services]:
    """The services of a head end whose clock moves when it is told to; its authority decides."""
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    clock = head_end.clock
    sources = Sources(settings, registry, read_only, store, LatestValues(), clock)
    made = assemble(sources, lambda: 0.0)
    yield made
    made.delivery.close()
    made.energy.close()
    store.close()
    read_only.dispose()


@pytest.fixture
async def people(services) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Each person's way to REST, past the door (which has tests of its own)."""
    app = create_app(services, services.sources.settings)

    def actor(request: Request) -> Actor:
        return Actor(request.headers["x-who"], ROLES[request.headers["x-who"]])

    app.dependency_overrides[actor_of] = actor
    base = f"http://hesper.test{PREFIX}"
    async with AsyncExitStack() as stack:
        found = {}
        for name in ROLES:
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url=base, headers={"x-who": name}
            )
            found[name] = await stack.enter_async_context(client)
        yield found


@pytest.fixture(scope="session")
def town_class() -> type[Town]:
    return Town
