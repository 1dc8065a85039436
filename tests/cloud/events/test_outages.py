"""Power-loss events become one outage with its extent, and end meter by meter."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.alert_settings import AlertSettings
from hesper_cloud.alerting.keeping import AlertKeeping
from hesper_cloud.assets import service_life
from hesper_cloud.assets.history import By
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import (
    Alert,
    Customer,
    Element,
    ElementMeter,
    Event,
    Meter,
    Outage,
    PowerLoss,
)
from hesper_cloud.erasure import rows
from hesper_cloud.latest import LatestValues
from hesper_cloud.outages import customers
from hesper_cloud.outages.keeping import OutageKeeping
from hesper_cloud.outages.losses import Losses
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.services.outages import Outages
from hesper_contracts import events
from sqlalchemy import Engine, event, insert, select
from tables import make_tables

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
ALWAYS = NOON - timedelta(days=100)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two feeders: one of 40 transformers with 50 homes each, one of 2 with 3; made once."""
    made = tmp_path_factory.mktemp("town") / "hesper.db"
    engine = open_engine(f"sqlite:///{made}")
    make_tables(engine)
    homes = {f"t{k}": [f"M{k}-{n}" for n in range(50)] for k in range(40)}
    homes |= {f"s{k}": [f"S{k}-{n}" for n in range(3)] for k in range(2)}
    with writing(engine) as session:
        for feeder in ("f1", "f2"):
            session.add(Element(id=feeder, kind="feeder", name=f"Feeder {feeder}", parent=None))
        for transformer, meters in homes.items():
            above = "f1" if transformer.startswith("t") else "f2"
            session.add(Element(id=transformer, kind="transformer", name=transformer, parent=above))
            for meter in meters:
                session.add(Meter(id=meter, first_seen_at=ALWAYS, area="north"))
                session.add(
                    ElementMeter(element=transformer, meter=meter, from_at=ALWAYS, role="customer")
                )
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return made


@dataclass
class Captured(LatestValues):
    """Latest values of which only the times matter here."""

    times: dict[str, int] = field(default_factory=dict)

    def last_captured(self) -> dict[str, int]:
        return self.times


@dataclass
class World:
    """The town's outages, with a clock that is set by what happens."""

    registry: Engine
    now: datetime = NOON
    told: int = 0

    def __post_init__(self) -> None:
        self.latest = Captured()
        self.start()

    def start(self) -> None:
        """As after a start of the process."""
        alerts = Alerts(self.registry, lambda: self.now)
        self.losses = Losses(lambda: self.now)
        self.keeping = OutageKeeping(self.registry, alerts, self.latest, lambda: self.now)

    def tell(self, code: str, second: int, *meters: str) -> None:
        at = NOON + timedelta(seconds=second)
        told = [
            events.Event(id=f"{self.told + n}", code=code, occurred_at=at, meter=meter)
            for n, meter in enumerate(meters)
        ]
        self.told += len(told)
        same = {"gateway": "gw-1", "code": code, "severity": "info", "occurred_at": at}
        same |= {"stored_at": self.now, "text": "", "attributes": {}}
        with writing(self.registry) as session:
            session.execute(insert(Event), [{"id": e.id, "meter": e.meter, **same} for e in told])
            for each in told:
                self.losses.event_stored(session, "gw-1", each)

    def look(self, second: int) -> list[str]:
        """Lets the job look until it is calm; returns the outages that were not merged."""
        for later in (0, 6):
            self.now = NOON + timedelta(seconds=second + later)
            self.keeping.turn()
        return self.outages()

    def erase(self, *meters: str, until: datetime | None = None) -> None:
        with writing(self.registry) as session:
            for meter in meters:
                rows.erase(session, rows.Extent(meter, None, until), [], self.now)

    def outages(self) -> list[str]:
        with reading(self.registry) as session:
            rows = session.scalars(
                select(Outage).where(Outage.state != "merged").order_by(Outage.id)
            )
            return [
                f"{row.kind} {row.place} {row.state} {row.back_count}/{row.lost_count} of "
                f"{row.customer_count}"
                for row in rows
            ]

    def alerts(self, state: str = "new") -> list[tuple[str, str | None, str]]:
        with reading(self.registry) as session:
            rows = session.scalars(select(Alert).where(Alert.state == state).order_by(Alert.id))
            return [(row.rule, row.element or row.meter, row.severity) for row in rows]


@pytest.fixture
def world(tmp_path: Path, town: Path) -> Iterator[World]:
    shutil.copy(town, tmp_path / "hesper.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    yield World(engine)
    engine.dispose()


FEEDER = [f"M{k}-{n}" for k in range(40) for n in range(50)]


def test_2000_meters_of_one_feeder_are_one_outage_and_one_alert(world: World) -> None:
    world.tell("power.last_gasp", 0, *FEEDER)
    assert world.look(10) == ["feeder f1 open 0/2000 of 2000"]
    assert world.alerts() == [("outage", "f1", "critical")]
    world.start()
    world.tell("power.up", 600, *FEEDER[:1999])
    assert world.look(700) == ["feeder f1 open 1999/2000 of 2000"]
    world.latest.times = {FEEDER[-1]: int(NOON.timestamp()) + 900}
    assert world.look(1000) == ["feeder f1 restored 2000/2000 of 2000"]
    assert (world.alerts(), world.alerts("cleared")) == ([], [("outage", "f1", "critical")])
    with reading(world.registry) as session:
        (row,) = session.scalars(select(Outage))
        assert (row.began_at, row.restored_at) == (NOON, NOON + timedelta(seconds=900))
        last = session.scalars(select(PowerLoss).where(PowerLoss.meter == FEEDER[-1])).one()
        assert (last.proof, last.settled) == ("reading", True)


def test_a_transformer_that_goes_with_its_feeder_is_merged_into_it(world: World) -> None:
    world.tell("power.last_gasp", 0, "S0-0", "S0-1")
    assert world.look(1) == ["transformer s0 open 0/2 of 3"]  # the third has not been heard since
    world.tell("power.last_gasp", 20, "S1-0", "S1-1")
    assert world.look(30) == ["feeder f2 open 0/4 of 6"]
    assert world.alerts() == [("outage", "f2", "warning")]
    assert world.alerts("cleared") == [("outage", "s0", "warning")]
    with reading(world.registry) as session:
        merged = session.scalars(select(Outage).where(Outage.state == "merged")).one()
        whole = session.scalars(select(Outage).where(Outage.state == "open")).one()
        assert (merged.merged_into, whole.began_at) == (whole.id, NOON)


def test_one_home_is_an_outage_of_its_own_and_a_few_are_their_transformers(world: World) -> None:
    world.tell("power.last_gasp", 0, "M0-0")
    world.tell("power.last_gasp", 5, "M1-0", "M1-1", "M1-2")
    assert sorted(world.look(10)) == [
        "meter M0-0 open 0/1 of 1",
        "transformer t1 open 0/3 of 3",  # most of it has power, so only who told is counted
    ]
    assert sorted(world.alerts()) == [("outage", "M0-0", "info"), ("outage", "t1", "warning")]


def test_losses_that_are_hours_apart_are_outages_of_their_own(world: World) -> None:
    world.tell("power.down", 0, "S0-0", "S0-1")
    world.tell("power.up", 60, "S0-0", "S0-1")
    world.now += timedelta(hours=3)
    world.tell("power.down", 7200, "S0-0", "S0-1")
    assert world.look(10_800) == [
        "transformer s0 restored 2/2 of 2",
        "transformer s0 open 0/2 of 3",
    ]
    assert world.alerts() == [("outage", "s0", "warning")]


async def test_the_first_meters_of_an_outage_are_shown_and_all_are_counted(world: World) -> None:
    world.tell("power.last_gasp", 0, *FEEDER[:1200])
    world.tell("power.up", 600, *sorted(FEEDER[:1200])[:1190])
    world.look(700)
    with writing(world.registry) as session:
        session.get_one(Meter, FEEDER[0]).area = "south"
    outages = Outages(SimpleNamespace(registry=world.registry))
    shown = await outages.get(Actor("vic", Role.VIEWER), 1, 12)
    without = sorted(FEEDER[:1200])[1190:]
    assert [each.meter for each in shown.meters] == [*without, *sorted(FEEDER[:1200])[:2]]
    assert shown.total == 1200
    assert (await outages.get(Actor("vic", Role.VIEWER, ("south",)), 1, 12)).total == 1


def test_a_loss_and_its_end_may_come_in_any_order_and_twice(world: World) -> None:
    world.now += timedelta(minutes=30)
    world.tell("power.up", 300, "S0-0", "S0-1")
    world.tell("power.down", 2, "S0-0", "S0-1")
    world.tell("power.last_gasp", 0, "S0-0")
    assert world.look(1800) == ["transformer s0 restored 2/2 of 2"]
    assert world.alerts() == []
    with reading(world.registry) as session:
        assert len(session.scalars(select(PowerLoss)).all()) == 2


def test_silence_below_an_outage_gives_way_to_its_alert(world: World) -> None:
    world.tell("power.last_gasp", 0, *FEEDER[:1200])
    world.look(10)
    silent = [
        Telling(Subject("silent-meter", meter=meter), "warning", "silent", world.now, symptom=True)
        for meter in (FEEDER[0], FEEDER[1999], "S0-0")
    ]
    Alerts(world.registry, lambda: world.now).raise_all(silent)
    AlertKeeping(world.registry, AlertSettings(), lambda: world.now).turn()
    with reading(world.registry) as session:
        outage = session.scalars(select(Alert).where(Alert.rule == "outage")).one()
        below = select(Alert).where(Alert.suppressed, Alert.parent_id == outage.id)
        assert {each.meter for each in session.scalars(below)} == {FEEDER[0], FEEDER[1999]}


def test_who_is_lost_later_below_what_is_out_belongs_to_it(world: World) -> None:
    world.tell("power.last_gasp", 0, *[f"S{k}-{n}" for k in range(2) for n in range(2)])
    assert world.look(10) == ["feeder f2 open 0/4 of 6"]
    world.now += timedelta(hours=1)
    world.tell("power.last_gasp", 3600, "S0-2")
    assert world.look(3700) == ["feeder f2 open 0/5 of 6"]
    assert len(world.alerts()) == 1


def test_nothing_is_opened_while_losses_are_still_coming(world: World) -> None:
    for second in range(0, 50, 3):
        world.tell("power.last_gasp", second, FEEDER[second])
        world.now = NOON + timedelta(seconds=second)
        world.keeping.turn()
    assert world.outages() == []
    world.tell("power.last_gasp", 62, FEEDER[62])
    world.now = NOON + timedelta(seconds=62)
    world.keeping.turn()  # a minute is long enough
    assert len(world.outages()) == 2  # of the first transformer, and one of the second


def test_customers_with_several_meters_are_counted_once(world: World) -> None:
    with writing(world.registry) as session:
        session.add(
            Customer(id=1, account_number="A-1", name="Ada", created_at=ALWAYS, updated_at=ALWAYS)
        )
        session.flush()
        for meter in ("S0-0", "S0-1"):
            session.get_one(Meter, meter).customer_id = 1
    world.latest.times = {"S0-2": int(NOON.timestamp()) + 600}
    world.tell("power.last_gasp", 0, "S0-0", "S0-1")
    assert world.look(700) == ["transformer s0 open 0/2 of 1"]


def test_a_loss_of_last_month_that_is_read_now_is_no_outage(world: World) -> None:
    world.now += timedelta(days=30)
    world.tell("power.down", 0, *FEEDER[:10])
    assert world.look(30 * 86_400) == []


def test_power_down_and_up_in_one_second_may_be_told_again(world: World) -> None:
    world.tell("power.last_gasp", 0, "S0-0")
    world.tell("power.up", 0, "S0-0")
    world.tell("power.down", 0, "S0-0")  # its log, read later
    assert world.look(10) == ["meter S0-0 restored 1/1 of 1"]


def test_a_clock_that_is_a_year_ahead_tells_of_now(world: World) -> None:
    year = 365 * 86_400
    world.tell("power.last_gasp", year, "S0-0", "S0-1")
    world.tell("power.up", year + 60, "S1-0")
    world.tell("power.last_gasp", 2, "S1-0")
    assert sorted(world.look(10)) == ["feeder f2 open 0/3 of 6"]
    world.latest.times = dict.fromkeys(("S0-0", "S0-1", "S1-0"), int(NOON.timestamp()) + 600)
    assert world.look(700) == ["feeder f2 restored 3/3 of 6"]


def test_a_clock_that_is_set_back_holds_no_outage_up(world: World) -> None:
    day = 86_400
    world.now += timedelta(days=1)
    world.tell("power.last_gasp", day - 10, "S0-0", "S0-1")
    world.keeping.turn()
    assert world.outages() == []
    assert world.look(0) == ["transformer s0 open 0/2 of 3"]


def test_what_ended_years_ago_is_forgotten_and_who_is_gone_is_given_up(world: World) -> None:
    world.tell("power.last_gasp", 0, "S0-0", "M0-0")
    world.tell("power.up", 60, "M0-0")
    assert len(world.look(100)) == 2
    world.now = NOON + timedelta(days=91)
    world.keeping.forget()
    assert world.look(91 * 86_400) == [
        "meter M0-0 restored 1/1 of 1", "meter S0-0 restored 1/1 of 1"
    ]  # fmt: skip
    assert world.alerts() == []
    world.now = NOON + timedelta(days=801)
    world.keeping.forget()
    assert [row.split()[1] for row in world.outages()] == ["S0-0"]  # ended in its 91st day
    world.now = NOON + timedelta(days=1000)
    world.keeping.forget()
    assert world.outages() == []
    with reading(world.registry) as session:
        assert session.scalars(select(PowerLoss)).all() == []


def test_an_outage_without_news_is_not_counted_meter_by_meter_at_every_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[datetime] = []
    estimated = customers.estimated
    monkeypatch.setattr(
        customers, "estimated", lambda *a: counted.append(world.now) or estimated(*a)
    )
    world.tell("power.last_gasp", 0, "S0-0", "S0-1", "S0-2")
    assert world.look(10) == ["transformer s0 open 0/3 of 3"]
    world.look(20)
    world.look(40)
    assert len(counted) == 1
    world.tell("power.up", 45, "S0-0")
    assert world.look(50) == ["transformer s0 open 1/3 of 3"]
    world.look(120)
    assert len(counted) == 3


def test_of_many_outages_the_topology_is_read_once_and_others_write_in_between(
    world: World,
) -> None:
    happened: list[str] = []

    def asked(_: object, __: object, statement: str, *___: object) -> None:
        happened.append("topology" if "FROM elements" in statement else "")

    def committed(_: object) -> None:
        happened.append("commit")

    world.tell("power.last_gasp", 0, *(f"M{k}-{n}" for k in range(30) for n in range(2)))
    world.keeping.turn()
    world.now += timedelta(seconds=6)
    event.listen(world.registry, "before_cursor_execute", asked)
    event.listen(world.registry, "commit", committed)
    world.keeping.turn()
    event.remove(world.registry, "before_cursor_execute", asked)
    event.remove(world.registry, "commit", committed)
    assert len(world.outages()) == 30
    assert happened.count("topology") == 2, "who hangs where, and who hangs below"
    assert happened.count("commit") == 2


def test_a_circle_in_the_topology_ends_who_hangs_below(world: World) -> None:
    with writing(world.registry) as session:
        session.get_one(Element, "f2").parent = "s0"
        outage = Outage(kind="transformer", place="s0", began_at=NOON)
        assert len(customers.Counting(session).hanging(outage)) == 6


def test_an_outage_of_an_erased_meter_goes_with_its_alert_and_others_are_still_found(
    world: World,
) -> None:
    world.tell("power.last_gasp", 0, "M0-0")
    assert world.look(10) == ["meter M0-0 open 0/1 of 1"]
    world.erase("M0-0")
    assert (world.outages(), world.alerts(), world.alerts("cleared")) == ([], [], [])
    world.tell("power.last_gasp", 7200, "M1-0")
    assert world.look(7210) == ["meter M1-0 open 0/1 of 1"]


def test_an_outage_of_which_every_loss_was_erased_is_over(world: World) -> None:
    world.tell("power.last_gasp", 0, "S0-0", "S0-1")
    assert world.look(10) == ["transformer s0 open 0/2 of 3"]
    world.erase("S0-0", "S0-1")
    assert [row.split()[2] for row in world.look(3600)] == ["restored"]
    assert (world.alerts(), world.alerts("cleared")) == ([], [("outage", "s0", "warning")])
    with reading(world.registry) as session:
        assert session.scalars(select(Outage.restored_at)).one() == NOON + timedelta(hours=1)


def test_what_a_meter_lost_after_the_time_that_is_erased_is_an_outage_of_its_own(
    world: World,
) -> None:
    world.tell("power.last_gasp", 0, "M0-0")
    world.look(10)
    world.now += timedelta(hours=2)
    world.tell("power.last_gasp", 7200, "M0-0")
    world.look(7210)
    world.erase("M0-0", until=NOON + timedelta(hours=1))
    assert world.look(7220) == ["meter M0-0 open 0/1 of 1"]
    with reading(world.registry) as session:
        assert session.scalars(select(Outage.began_at)).all() == [NOON + timedelta(hours=2)]
    assert world.alerts() == [("outage", "M0-0", "info")]


def test_a_meter_that_is_removed_is_not_without_power(world: World) -> None:
    world.tell("power.last_gasp", 0, "M0-0", "M1-0")
    assert len(world.look(10)) == 2
    with writing(world.registry) as session:
        meter = session.get_one(Meter, "M0-0")
        meter.life = "commissioned"
        service_life.remove(session, meter, None, By("olga", world.now))
    left = ["meter M0-0 restored 1/1 of 1", "meter M1-0 open 0/1 of 1"]
    assert world.look(20) == left
    assert world.alerts() == [("outage", "M1-0", "info")]
    world.tell("power.last_gasp", 600, "M0-0")  # somebody unplugs it
    assert world.look(620) == left


def test_the_alert_of_an_outage_is_of_the_area_where_all_its_meters_are(world: World) -> None:
    world.tell("power.last_gasp", 0, *FEEDER)
    world.look(10)
    with reading(world.registry) as session:
        alert = session.scalars(select(Alert)).one()
    assert (alert.element, alert.area) == ("f1", "north")
