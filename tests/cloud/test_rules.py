"""Rules raise and clear alerts with hysteresis; one gateway down is one alert."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, Gateway, Meter
from hesper_cloud.ingest.validate import judged
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules import standing
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.rules.reverse_energy import ReverseEnergyRule
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.rules.standing import clear_of_service
from hesper_cloud.rules.tamper import clear_acknowledged
from hesper_cloud.rules.voltage import VoltageRule
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.port import Block, CommittedRows, StoreUnavailable
from hesper_cloud.turns import Job, Schedule, perform
from hesper_contracts import columns
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from sqlalchemy import Engine, select
from tables import make_tables

T0 = 1_790_000_100
NOON = datetime.fromtimestamp(T0, UTC)
V1, V2 = (Quantity(bytes((1, 0, c, 7, 0, 255)), -1, 35) for c in (32, 52))
IMPORT, EXPORT = (Quantity(bytes((1, 0, c, 8, 0, 255)), 0, 30) for c in (1, 2))
SETTINGS = RuleSettings()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    make_tables(made)
    yield made
    made.dispose()


def rows(quantities: tuple[Quantity, ...], *points: tuple[int, tuple[int | None, ...]]) -> Block:
    at = [time for time, _ in points]
    values = [list(column) for column in zip(*(row for _, row in points), strict=True)]
    meter = MeterRows("M1", at, [0] * len(at), [0] * len(at), values)
    section = Section(LOAD_PROFILE, at[-1], quantities, [meter])
    return block_of(columns.from_sections([section])[0])


def committed(block: Block) -> CommittedRows:
    return CommittedRows("gw-1", block, np.ones(block.row_count, dtype=bool), T0)


def alerts(engine: Engine) -> list[tuple[str, str]]:
    with reading(engine) as session:
        return [(a.rule, a.state) for a in session.scalars(select(Alert).order_by(Alert.id))]


def test_voltage_raises_outside_and_clears_well_inside(engine: Engine) -> None:
    rule = VoltageRule(Alerts(engine), SETTINGS, clock=lambda: T0)

    def see(second: int, *volts: int | None) -> list[tuple[str, str]]:
        rule.rows_committed(committed(rows((V1, V2), (T0 + second, volts))))
        return alerts(engine)

    assert see(0, 2300, 2530) == []  # exactly 253 V is inside
    assert see(1, 2300, 2531) == [("voltage", "new")]
    assert see(2, 2300, 2560) == [("voltage", "new")]
    assert see(3, 2300, 2520) == [("voltage", "new")]  # inside, but not well inside
    assert see(4, 2300, None) == [("voltage", "cleared")]
    assert see(5, 2069, 2300)[-1] == ("voltage", "new")
    assert see(6, 2300, 0)[-1] == ("voltage", "cleared")  # a meter without a second phase
    assert len(alerts(engine)) == 2


def test_voltage_sees_a_sag_within_a_batch_and_ignores_history(engine: Engine) -> None:
    rule = VoltageRule(Alerts(engine), SETTINGS, clock=lambda: T0)
    rule.rows_committed(committed(rows((V1,), (T0 - 7200, (1000,)))))
    assert alerts(engine) == []
    points = [(T0 + n, (volts,)) for n, volts in enumerate((2300, 1500, 2300))]
    rule.rows_committed(committed(rows((V1,), *points)))
    assert alerts(engine) == [("voltage", "cleared")]


def test_voltage_state_survives_a_restart(engine: Engine) -> None:
    VoltageRule(Alerts(engine), SETTINGS, clock=lambda: T0).rows_committed(
        committed(rows((V1,), (T0, (1500,))))
    )
    again = VoltageRule(Alerts(engine), SETTINGS, clock=lambda: T0)
    again.rows_committed(committed(rows((V1,), (T0 + 1, (2300,)))))
    assert alerts(engine) == [("voltage", "cleared")]


def test_an_alert_about_a_meter_that_is_removed_is_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 0.0)
    told, latest = Alerts(engine), LatestValues()
    with writing(engine) as session:
        session.add(Meter(id="M1", first_seen_at=NOON))
    voltage = VoltageRule(told, SETTINGS, clock=lambda: T0)
    energy = ReverseEnergyRule(told, clock=lambda: T0)
    raised = [("voltage", "new"), ("reverse-energy", "new")]

    def see(life: str) -> list[tuple[str, str]]:
        with writing(engine) as session:
            session.get_one(Meter, "M1").life = life
        clear_of_service(engine, told, ("voltage", "reverse-energy"), NOON)
        falls = rows((V1, IMPORT), (T0, (1500, 50_000)), (T0 + 1, (1500, 40_000)))
        found = committed(judged(falls, latest, T0))
        voltage.rows_committed(found)
        energy.rows_committed(found)
        return alerts(engine)

    over = [(rule, "cleared") for rule, _ in raised]
    assert see("installed") == raised
    assert see("removed") == see("stock") == over
    assert see("installed") == over + raised


def test_what_another_consumer_has_raised_is_cleared(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 0.0)
    first, second = (VoltageRule(Alerts(engine), SETTINGS, clock=lambda: T0) for _ in range(2))
    first.rows_committed(committed(rows((V1,), (T0, (1500,)))))
    second.rows_committed(committed(rows((V1,), (T0 + 1, (2300,)))))
    assert alerts(engine) == [("voltage", "cleared")]


def test_reverse_energy_is_told_from_a_solar_roof(engine: Engine) -> None:
    latest = LatestValues()
    rule = ReverseEnergyRule(Alerts(engine), clock=lambda: T0 + 701)

    def see(second: int, imported: int, exported: int) -> list[tuple[str, str]]:
        block = judged(
            rows((IMPORT, EXPORT), (T0 + second, (imported, exported))), latest, T0 + 701
        )
        before = latest.previous(block)
        latest.take(block, np.ones(1, dtype=bool), T0)
        rule.rows_committed(replace(committed(block), before=before))
        return alerts(engine)

    assert see(0, 50_000, 20_000) == []
    assert see(1, 50_000, 20_900) == []  # a roof: it has always fed in
    assert see(2, 9_000_000, 20_900) == []
    assert see(3, 9_000_000, 20_901) == [("reverse-energy", "new")]
    assert see(300, 9_000_000, 20_901) == [("reverse-energy", "new")]
    assert see(700, 9_000_001, 20_901) == [("reverse-energy", "cleared")]
    assert see(701, 8_000_000, 20_901)[-1] == ("reverse-energy", "new")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ((1, 0, 3, 8, 0, 255), 32),  # reactive
        ((1, 0, 2, 8, 0, 255), 30),  # export
        ((1, 0, 1, 8, 1, 255), 30),  # a tariff's
        ((1, 0, 16, 8, 0, 255), 30),  # net
    ],
)
def test_another_register_that_falls_is_no_energy_that_runs_backwards(
    engine: Engine, name: tuple[int, ...], unit: int
) -> None:
    other = Quantity(bytes(name), 0, unit)
    block = judged(
        rows((IMPORT, other), (T0, (50_000, 950)), (T0 + 1, (50_100, 0))), LatestValues(), T0
    )
    ReverseEnergyRule(Alerts(engine), clock=lambda: T0 + 1).rows_committed(committed(block))
    assert alerts(engine) == []


def test_one_gateway_down_is_one_alert(engine: Engine) -> None:
    clock = [NOON]
    with writing(engine) as session:
        session.add(Gateway(id="gw-1", state="online", attributes={}))
        session.flush()
        for n in range(5):
            session.add(
                Meter(
                    id=f"M{n}",
                    gateway_id="gw-1",
                    first_seen_at=NOON,
                    last_contact_at=NOON,
                    capture_period_s=900,
                )
            )
    settings = RuleSettings(silent_after_s=60)
    rule = SilenceRule(engine, Alerts(engine), settings, lambda: clock[0])

    def check(seconds: int) -> list[tuple[str, str]]:
        clock[0] = NOON + timedelta(seconds=seconds)
        rule.check()
        return alerts(engine)

    def gateway(state: str) -> None:
        with writing(engine) as session:
            session.get_one(Gateway, "gw-1").state = state

    def heard(meter: str, seconds: int) -> None:
        with writing(engine) as session:
            session.get_one(Meter, meter).last_contact_at = NOON + timedelta(seconds=seconds)

    assert check(59) == []
    for n in range(4):
        heard(f"M{n}", 60)
    assert check(61) == [("silent-meter", "new")]
    gateway("offline")
    assert check(88) == [("silent-meter", "new")]  # a gateway may be back at the next look
    assert check(90) == [("silent-meter", "new"), ("gateway-offline", "new")]
    assert len(check(500)) == 2
    gateway("online")
    assert check(501)[1] == ("gateway-offline", "cleared")
    assert len(check(560)) == 2  # they get their time to be heard
    for n in range(4):
        heard(f"M{n}", 560)
    assert check(570)[0] == ("silent-meter", "new")  # as it was before
    heard("M4", 571)
    assert check(572)[0] == ("silent-meter", "cleared")
    assert len(check(573)) == 2


def test_silence_where_people_work_is_told_when_it_outlasts_the_work(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Gateway(id="gw-1", first_seen_at=NOON, state="offline"))
        session.add(Gateway(id="gw-2", first_seen_at=NOON, state="online"))
        for meter, gateway in (("M1", "gw-1"), ("M2", "gw-2")):
            session.add(
                Meter(id=meter, gateway_id=gateway, first_seen_at=NOON, last_contact_at=NOON)
            )
    clock, over = [NOON], NOON + timedelta(days=2)
    rule = SilenceRule(
        engine,
        Alerts(engine),
        RuleSettings(silent_after_s=60),
        lambda: clock[0],
        lambda now: lambda gateway: now < over and gateway in {"gw-1", "gw-2"},
    )
    clock[0] = over - timedelta(seconds=1)
    rule.check()
    assert alerts(engine) == []
    clock[0] = over
    for _ in range(2):
        rule.check()
    assert sorted(alerts(engine)) == [("gateway-offline", "new"), ("silent-meter", "new")]


def test_a_restart_gives_meters_their_time(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Meter(id="M1", first_seen_at=NOON, last_contact_at=NOON, capture_period_s=900))
    clock = [NOON + timedelta(days=1)]
    rule = SilenceRule(engine, Alerts(engine), RuleSettings(silent_after_s=60), lambda: clock[0])
    rule.check()
    assert alerts(engine) == []
    clock[0] += timedelta(seconds=61)
    rule.check()
    assert alerts(engine) == [("silent-meter", "new")]


def test_a_clock_that_was_ahead_at_the_start_hides_no_silence(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Meter(id="M1", first_seen_at=NOON, last_contact_at=NOON, capture_period_s=900))
        seen = {"state": "online", "last_seen_at": NOON, "attributes": {}}
        session.add(Gateway(id="gw-1", first_seen_at=NOON, **seen))
    clock = [NOON + timedelta(days=365)]
    rule = SilenceRule(engine, Alerts(engine), RuleSettings(silent_after_s=60), lambda: clock[0])
    rule.check()
    clock[0] = NOON
    rule.check()
    assert alerts(engine) == []
    clock[0] += timedelta(seconds=61)
    rule.check()
    assert alerts(engine) == [("silent-meter", "new")]
    clock[0] += timedelta(minutes=15)
    for _ in range(2):
        rule.check()
    assert alerts(engine)[-1] == ("gateway-offline", "new")


def test_a_meter_of_unknown_period_is_silent_after_a_day(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Meter(id="M1", first_seen_at=NOON, last_contact_at=NOON))
    clock = [NOON]
    rule = SilenceRule(engine, Alerts(engine), RuleSettings(silent_after_s=60), lambda: clock[0])
    clock[0] += timedelta(hours=23)
    rule.check()
    assert alerts(engine) == []
    clock[0] += timedelta(hours=2)
    rule.check()
    assert alerts(engine) == [("silent-meter", "new")]


def test_an_acknowledged_tamper_alert_goes_after_a_day(engine: Engine) -> None:
    Alerts(engine).raise_(Subject("tamper.magnet", meter="M1"), "critical", "Magnet.", at=NOON)
    with writing(engine) as session:
        alert = session.scalars(select(Alert)).one()
        alert.state, alert.acknowledged_at = "acknowledged", NOON
    clear_acknowledged(engine, NOON + timedelta(hours=23))
    assert alerts(engine) == [("tamper.magnet", "acknowledged")]
    clear_acknowledged(engine, NOON + timedelta(hours=25))
    assert alerts(engine) == [("tamper.magnet", "cleared")]


def test_the_schedule_follows_its_clock_and_survives_an_absent_store() -> None:
    def fail() -> None:
        raise StoreUnavailable("gone")

    job, other = Job("a", 5, fail), Job("b", 60, fail)
    schedule = Schedule([job, other], NOON)
    assert schedule.due(NOON) == [job, other]
    perform(job)
    assert schedule.due(NOON + timedelta(seconds=4)) == []
    assert schedule.due(NOON + timedelta(seconds=6)) == [job]


def test_a_job_that_takes_long_comes_less_often() -> None:
    job = Job("long", 2.0, lambda: None)
    schedule = Schedule([job], NOON)
    assert schedule.due(NOON) == [job]
    schedule.took(job, NOON + timedelta(seconds=10), 10.0)
    assert schedule.due(NOON + timedelta(seconds=99)) == []
    assert schedule.due(NOON + timedelta(seconds=100)) == [job]
