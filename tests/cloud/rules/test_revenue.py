"""Revenue protection: reconnected without a command, use where nobody should use anything."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, Customer, Event, Meter
from hesper_cloud.ingest.relay_states import RelayStates
from hesper_cloud.latest import LatestValues
from hesper_cloud.quantities import ACTIVE_ENERGY_IMPORT, REGISTER_SNAPSHOT, RELAY
from hesper_cloud.rules import built_in, editing
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.definition import Definition
from hesper_cloud.rules.inactive import InactiveUse
from hesper_cloud.rules.reconnected import ReconnectedCheck
from hesper_cloud.rules.voltage import VoltageRule
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Block, CommittedRows, Quantity
from sqlalchemy import select

METER, GATEWAY = "HES12642984", "gw-1"


def snapshot(meter: str, at: datetime, closed: bool) -> CommittedRows:
    seconds = int(at.timestamp())
    one = np.zeros(1, dtype=np.int64)
    block = Block(
        profile=REGISTER_SNAPSHOT,
        quantities=(Quantity(RELAY, 0, 255),),
        meters=(meter,),
        meter_index=one,
        captured_at=one + seconds,
        clock_status=one,
        quality=one,
        received_at=seconds,
        values=np.array([[int(closed)]]),
        missing=None,
    )
    return CommittedRows(GATEWAY, block, np.ones(1, dtype=bool), seconds)


class Relays:
    """One meter's relay as snapshots show it, and the check that runs every five minutes."""

    def __init__(self, head_end: Any) -> None:
        self.head_end, self.clock = head_end, head_end.clock
        self.registry = head_end.databases.registry
        self.states = RelayStates(self.registry)
        self.read_only = open_engine(head_end.settings.database.authority_url, read_only=True)
        alerts = Alerts(self.registry, self.clock)
        self.check = ReconnectedCheck(self.registry, self.read_only, alerts, self.clock)

    def seen(self, closed: bool) -> None:
        self.clock.advance(60)
        self.states.rows_committed(snapshot(METER, self.clock.now, closed))
        self.states.flush()

    def after(self, minutes: float) -> list[tuple[str, str]]:
        self.clock.advance(60 * minutes)
        self.check.turn()
        with reading(self.registry) as session:
            return [(a.rule, a.state) for a in session.scalars(select(Alert).order_by(Alert.id))]

    def pressed(self, ago: timedelta, **attributes: str) -> None:
        with writing(self.registry) as session:
            session.add(
                Event(
                    id=f"{METER}/pressed/{ago}", meter=METER, gateway=GATEWAY,
                    code="relay.closed_by_hand", severity="info",
                    occurred_at=self.clock.now - ago, stored_at=self.clock.now, text="",
                    attributes=attributes,
                )
            )  # fmt: skip

    def commanded(self, kind: str, ago: timedelta) -> None:
        sent_at = self.clock.now - ago
        with writing(self.head_end.databases.authority) as session:
            session.add(
                CommandRecord(
                    id=f"c-{kind}", kind=kind, meter=METER, gateway=GATEWAY, state="unknown",
                    requester="ann", reason="paid", created_at=sent_at, sent_at=sent_at,
                    updated_at=sent_at,
                )
            )  # fmt: skip


@pytest.fixture
def relays(head_end: Any) -> Any:
    made = Relays(head_end)
    yield made
    made.read_only.dispose()


RAISED = [("reconnected-without-command", "new")]
CLEARED = [("reconnected-without-command", "cleared")]


def test_a_supply_that_closes_by_no_command_of_ours_is_told_after_a_while(relays: Relays) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    assert relays.after(14) == []  # its log may tell of a press
    assert relays.after(2) == RAISED
    relays.seen(closed=True)
    assert relays.after(5) == RAISED
    relays.seen(closed=False)
    assert relays.after(5) == CLEARED


def test_a_supply_that_was_always_connected_is_no_suspect(relays: Relays) -> None:
    relays.seen(closed=True)
    relays.seen(closed=True)
    assert relays.after(60) == []


@pytest.mark.parametrize("kind", ["relay.reconnect", "relay.arm"])
def test_our_own_command_excuses_it(relays: Relays, kind: str) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    relays.commanded(kind, timedelta(seconds=30))
    assert relays.after(60) == []


def test_a_command_for_something_else_excuses_nothing(relays: Relays) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    relays.commanded("relay.read", timedelta(seconds=30))
    assert relays.after(60) == RAISED


def test_a_press_of_the_button_that_is_read_later_takes_the_alert_back(relays: Relays) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    assert relays.after(20) == RAISED
    relays.pressed(timedelta(minutes=20, seconds=30))
    assert relays.after(5) == CLEARED


def test_a_press_of_last_week_excuses_nothing(relays: Relays) -> None:
    relays.pressed(timedelta(days=7))
    relays.seen(closed=False)
    relays.seen(closed=True)
    assert relays.after(20) == RAISED


def test_what_a_person_acknowledged_goes_after_a_day(relays: Relays) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    relays.after(20)
    with writing(relays.registry) as session:
        alert = session.scalars(select(Alert)).one()
        alert.state, alert.acknowledged_at = "acknowledged", relays.clock.now
    assert relays.after(23 * 60) == [("reconnected-without-command", "acknowledged")]
    assert relays.after(2 * 60) == CLEARED


def test_a_press_that_another_gateway_tells_of_excuses_nothing(relays: Relays) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    relays.pressed(timedelta(seconds=30), foreign_gateway="yes")
    assert relays.after(16) == RAISED


def test_of_a_meter_that_was_removed_nothing_is_told_and_what_was_is_over(relays: Relays) -> None:
    relays.seen(closed=False)
    relays.seen(closed=True)
    assert relays.after(16) == RAISED
    with writing(relays.registry) as session:
        session.get_one(Meter, METER).life = "removed"
    assert relays.after(5) == CLEARED
    relays.seen(closed=False)
    relays.seen(closed=True)  # on the workshop's bench
    assert relays.after(16) == CLEARED


class Still:
    """Meters of an inactive account, and what their registers show."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.latest = LatestValues()
        alerts = Alerts(world.registry, world.clock)
        self.rule = InactiveUse(world.registry, alerts, self.latest, world.clock)

    def reads(self, second: int, **wh: int) -> list[str]:
        self.world.now += second
        at = int(self.world.now)
        block = Block(
            profile="1.0.99.1.0.255",
            quantities=(Quantity(ACTIVE_ENERGY_IMPORT, 1, 30),),
            meters=tuple(wh),
            meter_index=np.arange(len(wh)),
            captured_at=np.full(len(wh), at),
            clock_status=np.zeros(len(wh), dtype=np.int64),
            quality=np.zeros(len(wh), dtype=np.int64),
            received_at=at,
            values=np.array([[value // 10 for value in wh.values()]]),
            missing=None,
        )
        self.latest.take(block, np.ones(len(wh), dtype=bool), at)
        self.rule.turn()
        with reading(self.world.registry) as session:
            return [f"{a.meter} {a.state}" for a in session.scalars(select(Alert))]


@pytest.fixture
def still(world: Any) -> Still:
    with writing(world.registry) as session:
        when = {"created_at": world.clock(), "updated_at": world.clock()}
        session.add(Customer(id=1, account_number="A-1", name="Ada", state="inactive", **when))
        session.add(Customer(id=2, account_number="A-2", name="Bob", state="active", **when))
        session.flush()
        for meter, life, customer in (
            ("M1", "commissioned", 1), ("M2", "commissioned", 2), ("M3", "removed", None),
        ):  # fmt: skip
            session.add(
                Meter(id=meter, life=life, customer_id=customer, first_seen_at=world.clock())
            )
    return Still(world)


def test_use_on_an_inactive_account_is_told_from_a_threshold_on(still: Still) -> None:
    assert still.reads(0, M1=50_000, M2=50_000, M3=70_000) == []
    assert still.reads(900, M1=50_990, M2=90_000, M3=70_000) == []
    assert still.reads(900, M1=51_000, M2=99_000, M3=70_000) == ["M1 new"]
    assert still.reads(900, M3=71_500) == ["M1 new", "M3 new"]
    with writing(still.world.registry) as session:
        session.get_one(Customer, 1).state = "active"
    assert still.reads(900, M1=99_000) == ["M1 cleared", "M3 new"]


def test_its_threshold_is_edited_and_it_can_be_off(still: Still) -> None:
    def say(used_wh: int, state: Any) -> None:
        condition = {"kind": "built-in", "thresholds": {"used_wh": used_wh}}
        said = Definition.model_validate({"title": "use", "condition": condition})
        alerts, by = Alerts(still.world.registry), ("ben", still.world.clock())
        with writing(still.world.registry) as session:
            editing.save(session, alerts, "use-on-inactive-account", said, (*by, ""))
            editing.set_state(session, alerts, "use-on-inactive-account", state, by)

    say(100, "on")
    still.reads(0, M1=50_000)
    assert still.reads(900, M1=50_100) == ["M1 new"]
    say(100, "off")
    assert still.reads(900, M1=59_000) == ["M1 cleared"]


def test_the_voltage_rule_takes_over_what_is_edited(world: Any) -> None:
    band = built_in.VoltageBand(RuleSettings())
    thresholds = {"nominal_voltage_v": 240, "voltage_tolerance_percent": 6}
    said = {"title": "V", "condition": {"kind": "built-in", "thresholds": thresholds}}
    with writing(world.registry) as session:
        by = ("ben", world.clock())
        alerts = Alerts(world.registry)
        editing.save(session, alerts, "voltage", Definition.model_validate(said), (*by, ""))
        editing.set_state(session, alerts, "voltage", "on", by)
    with reading(world.registry) as session:
        band.refresh(session)
    assert (band.is_on, band.nominal_voltage_v, band.voltage_tolerance_percent) == (True, 240, 6)


def test_an_edit_judges_anew_what_was_seen_before(still: Still) -> None:
    def say(used_wh: int) -> None:
        condition = {"kind": "built-in", "thresholds": {"used_wh": used_wh}}
        said = Definition.model_validate({"title": "use", "condition": condition})
        alerts, by = Alerts(still.world.registry), ("ben", still.world.clock())
        with writing(still.world.registry) as session:
            editing.save(session, alerts, "use-on-inactive-account", said, (*by, ""))
            editing.set_state(session, alerts, "use-on-inactive-account", "on", by)

    still.reads(0, M1=50_000)
    assert still.reads(900, M1=52_000) == ["M1 new"]
    say(3000)
    assert still.reads(900, M1=52_000) == ["M1 cleared"]
    say(1500)
    assert still.reads(900, M1=52_000) == ["M1 cleared", "M1 new"]


def test_a_narrower_band_tells_again_of_what_is_still_outside(world: Any) -> None:
    band = built_in.VoltageBand(RuleSettings())
    alerts = Alerts(world.registry, world.clock)
    rule = VoltageRule(alerts, band, lambda: world.now)
    began = world.now

    def say(tolerance: int) -> None:
        thresholds = {"voltage_tolerance_percent": tolerance}
        said = {"title": "V", "condition": {"kind": "built-in", "thresholds": thresholds}}
        by = ("ben", world.clock())
        with writing(world.registry) as session:
            editing.save(session, alerts, "voltage", Definition.model_validate(said), (*by, ""))
            editing.set_state(session, alerts, "voltage", "on", by)
        with reading(world.registry) as session:
            band.refresh(session)

    def see(second: int) -> list[str]:
        world.now = began + second
        rule.rows_committed(world.rows(("M1", second, 2600)))
        return [each.partition(" -")[0] for each in world.alerts()]

    assert see(0) == ["M1 +0"]
    say(8)
    assert see(60) == ["M1 +0", "M1 +60"]
    say(20)
    assert see(120) == ["M1 +0", "M1 +60"]
