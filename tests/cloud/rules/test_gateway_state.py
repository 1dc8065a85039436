"""A gateway whose disk is full, or whose clock is far off, is an alert that comes and goes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Alert, Gateway
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.status_in import StatusIn
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.gateway_state import BROKEN, CLOCK, DISK, GatewayStateRule
from hesper_cloud.worded import restored
from hesper_contracts import status
from hesper_contracts.frame import Kind
from hesper_contracts.status import GatewayStatus
from hesper_ui import tongues
from hesper_ui.views.wording import retold
from hesper_ui.words import speaking
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY_MS = 86_400_000


@dataclass
class HeadEnd:
    """What hears gateways' status and judges it, by a clock that is set by hand."""

    engine: Engine
    now: datetime = NOON

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """As after a start of the process."""
        alerts = Alerts(self.engine, lambda: self.now)
        self.rule = GatewayStateRule(self.engine, alerts, lambda: self.now)

    def hears(
        self,
        offset_ms: int | None = 0,
        *,
        full: bool = False,
        failing: bool = False,
        state: str = "online",
    ) -> None:
        """Takes a status of gw-1, and judges a quarter of a minute later."""
        told = GatewayStatus(
            gateway="gw-1", boot_id="b", state=state, sent_at=NOON, started_at=NOON,
            clock_offset_ms=offset_ms, storage_full=full, storage_failing=failing,
        )  # fmt: skip
        payload = status.to_payload(told)
        message = Message("…/up/status", "gw-1", Kind.STATUS, payload, Delivery(1, 1, 1), 0.0, 0.0)
        StatusIn(self.engine).take(message)
        self.judges()

    def judges(self) -> None:
        self.now += timedelta(seconds=15)
        self.rule.check()

    def rows(self) -> list[Alert]:
        with Session(self.engine) as session:
            return list(session.scalars(select(Alert).order_by(Alert.id)))

    def open(self) -> dict[str, str]:
        return {row.rule: row.text for row in self.rows() if row.state != "cleared"}


@pytest.fixture
def head_end(engine: Engine) -> HeadEnd:
    return HeadEnd(engine)


def test_a_full_disk_is_one_critical_alert_until_there_is_room(head_end: HeadEnd) -> None:
    head_end.hears()
    assert head_end.open() == {}
    for _ in range(3):
        head_end.hears(full=True)
    (alert,) = head_end.rows()
    assert (alert.rule, alert.gateway, alert.severity) == (DISK, "gw-1", "critical")
    assert alert.text.startswith("The disk of gateway gw-1 is full")
    head_end.hears()
    assert head_end.open() == {}
    assert len(head_end.rows()) == 1


def test_a_disk_that_takes_no_writes_is_an_alert_of_its_own(head_end: HeadEnd) -> None:
    head_end.hears(failing=True)
    (alert,) = head_end.rows()
    assert (alert.rule, alert.gateway, alert.severity) == (BROKEN, "gw-1", "critical")
    assert "carries out no commands" in alert.text
    head_end.hears()
    assert head_end.open() == {}


@pytest.mark.parametrize(
    ("offset_ms", "said"), [(DAY_MS, "1440 min ahead"), (-DAY_MS, "1440 min behind")]
)
def test_a_clock_that_is_a_day_off_is_an_alert_until_it_is_right(
    head_end: HeadEnd, offset_ms: int, said: str
) -> None:
    head_end.hears(12)
    assert head_end.open() == {}
    head_end.hears(offset_ms)
    head_end.hears(offset_ms)
    assert said in head_end.open()[CLOCK]
    head_end.hears(12)
    assert head_end.open() == {}
    assert [row.severity for row in head_end.rows()] == ["warning"]


def test_a_clock_about_the_limit_is_no_flutter(head_end: HeadEnd) -> None:
    for offset_ms in (59_000, 61_000, 59_000, 31_000, 61_000):
        head_end.hears(offset_ms)
    assert [row.state for row in head_end.rows()] == ["new"]
    head_end.hears(-29_000)
    assert head_end.open() == {}
    head_end.hears(-31_000)
    assert head_end.open() == {}


def test_what_is_not_known_clears_nothing_and_raises_nothing(head_end: HeadEnd) -> None:
    head_end.hears(None)
    assert head_end.open() == {}
    head_end.hears(DAY_MS, full=True)
    head_end.hears(None, full=True)
    head_end.hears(state="offline")
    assert head_end.open().keys() == {DISK, CLOCK}


def test_the_next_process_clears_what_the_last_one_raised(head_end: HeadEnd) -> None:
    head_end.hears(DAY_MS, full=True)
    head_end.start()
    head_end.hears()
    assert head_end.open() == {}


def removed(row: Gateway) -> None:
    row.life = "removed"


def deleted(row: Gateway) -> None:
    row.deleted_at = NOON


@pytest.mark.parametrize("goes", [removed, deleted])
def test_a_gateway_that_is_gone_has_no_state(
    head_end: HeadEnd, goes: Callable[[Gateway], None]
) -> None:
    head_end.hears(DAY_MS, full=True)
    with writing(head_end.engine) as session:
        goes(session.get_one(Gateway, "gw-1"))
    head_end.judges()
    assert head_end.open() == {}


def test_a_clock_of_1970_fits_every_database(head_end: HeadEnd) -> None:
    head_end.hears(-1_780_000_000_000)
    with Session(head_end.engine) as session:
        assert session.get_one(Gateway, "gw-1").clock_offset_ms == -(2**31 - 1)
    assert "behind" in head_end.open()[CLOCK]


def test_both_are_said_in_german(head_end: HeadEnd) -> None:
    head_end.hears(DAY_MS, full=True)
    with speaking(tongues.tongue("de")):
        said = {row.rule: retold(restored(row.text, row.said)) for row in head_end.rows()}
    assert said[DISK].startswith("Der Speicher von Gateway gw-1 ist voll")
    assert said[CLOCK].startswith("Die Uhr von Gateway gw-1 geht 1440 min vor")
