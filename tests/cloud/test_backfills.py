"""Gaps turn into signed reads of the meter's profile, and close with proof or for good."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.authority.backfill import check_rate
from hesper_cloud.authority.facts import meter_facts
from hesper_cloud.authority.policy import JOBS, BackfillLimits
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Backfill, Gap, Gateway, Meter
from hesper_cloud.gaps import Backfills, GapLedger
from hesper_cloud.ingest.identified import event_stored
from hesper_cloud.job_settings import BackfillSettings
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group
from hesper_contracts import columns, parameters
from hesper_contracts.batch import BatchId
from hesper_contracts.commands import Command
from hesper_contracts.events import Event
from hesper_contracts.parameters import ReadProfile
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.results import Findings
from sqlalchemy import select

P = 900
METER, OTHER, GATEWAY = "HES12642984", "HES12642985", "gw-1"
PROFILE = "1.0.99.1.0.255"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
LIMITS = BackfillSettings(after_s=0, settle_s=30, retry_s=100, gateway_in_flight=1)


class Field:
    """A head end with a store and a ledger; the gateway is played by the test."""

    def __init__(self, head_end: Any, folder: Path, limits: BackfillSettings) -> None:
        self.head_end, self.clock = head_end, head_end.clock
        self.start = int(self.clock.now.timestamp())
        self.store = DuckDbStore(folder / "readings.duckdb")
        registry, authority = head_end.databases.registry, head_end.databases.authority
        self.registry = registry
        self.ledger = GapLedger(registry, self.store, RuleSettings(), self.clock)
        self.backfills = Backfills((registry, authority), self.store, limits, self.clock)
        self._sequence = itertools.count(1)
        with writing(registry) as session:
            session.get_one(Gateway, GATEWAY).state = "online"
            for meter in session.scalars(select(Meter)):
                meter.capture_period_s = P

    def capture(self, *periods: int, meter: str = METER) -> None:
        at = [self.start + P * n for n in periods]
        rows = MeterRows(meter, at, [0] * len(at), [0] * len(at), [list(at)])
        block = block_of(
            columns.from_sections([Section(LOAD_PROFILE, at[-1], (ENERGY,), [rows])])[0]
        )
        batch = BatchId(GATEWAY, "ab" * 8, next(self._sequence))
        self.store.write(Group({batch: "00"}, [block], int(self.clock.now.timestamp()) * 1000))
        with writing(self.registry) as session:
            session.get_one(Meter, meter).last_contact_at = self.clock.now

    def turn(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        self.ledger.check()
        self.backfills.turn()
        self.head_end.authority.turn()
        self.backfills.turn()

    def gaps(self, meter: str = METER) -> list[Gap]:
        with reading(self.registry) as session:
            return list(
                session.scalars(select(Gap).where(Gap.meter == meter).order_by(Gap.from_at))
            )

    def states(self) -> list[tuple[int, int, str]]:
        return [
            (self.period(gap.from_at), self.period(gap.to_at), gap.state) for gap in self.gaps()
        ]

    def period(self, at: datetime) -> int:
        return (int(at.timestamp()) - self.start) // P

    def command(self) -> Command:
        found: Command = self.head_end.published()[-1]
        return found

    def answer(self, row_count: int) -> None:
        self.head_end.answer(self.command(), "confirmed", findings=Findings(row_count=row_count))

    def asked(self) -> list[Backfill]:
        with reading(self.registry) as session:
            return list(session.scalars(select(Backfill).order_by(Backfill.id)))


@pytest.fixture
def field(head_end: Any, tmp_path: Path) -> Iterator[Field]:
    made = Field(head_end, tmp_path, LIMITS)
    yield made
    made.store.close()


def with_a_gap(field: Field) -> None:
    """Captures 0, 1 and 5 are stored; 2, 3 and 4 are missing."""
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    field.turn(10)


def test_a_gap_is_asked_for_and_closes_with_proof(field: Field) -> None:
    with_a_gap(field)
    assert field.states() == [(2, 4, "requested")]
    command = field.command()
    assert (command.kind, command.meter, command.requester) == ("read.profile", METER, JOBS)
    assert (command.approver, command.logical_device_name) == (None, "HSP0012642984000")
    assert isinstance(parameters.of(command), ReadProfile), "what the gateway makes of it"
    assert command.parameters["profile"] == PROFILE
    assert datetime.fromisoformat(command.parameters["since"]) == field.gaps()[0].from_at
    assert datetime.fromisoformat(command.parameters["until"]) == field.gaps()[0].to_at

    field.capture(2, 3, 4)
    field.answer(3)
    field.turn(1)
    field.turn(31)
    (gap,) = field.gaps()
    (backfill,) = field.asked()
    assert (gap.state, gap.closed_at is not None) == ("closed", True)
    assert (backfill.state, backfill.command_id, backfill.row_count) == ("done", command.id, 3)
    assert gap.proof is not None
    assert (gap.proof["captures"], gap.proof["backfill"]) == (3, backfill.id)
    assert gap.proof["command"] == command.id
    assert len(gap.proof["sha256"]) == 64
    assert gap.proof["stored_from_ms"] <= gap.proof["stored_to_ms"]


def test_the_proof_names_the_command_even_if_rows_come_at_once(field: Field) -> None:
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    field.ledger.check()
    field.backfills.turn()
    field.head_end.authority.turn()
    field.capture(2, 3, 4)
    field.ledger.check()
    (gap,) = field.gaps()
    assert gap.state == "closed"
    assert gap.proof is not None
    assert gap.proof["command"] == field.command().id


def test_what_the_meter_does_not_have_is_given_up_with_proof(field: Field) -> None:
    with_a_gap(field)
    field.capture(3)
    field.answer(1)
    field.turn(1)
    assert [state for *_, state in field.states()] == ["requested", "requested"]
    field.turn(31)
    assert field.states() == [(2, 2, "given_up"), (4, 4, "given_up")]
    (gap, _) = field.gaps()
    assert gap.cause == "meter reports none"
    assert gap.proof == {
        "backfill": 1,
        "command": field.command().id,
        "rows_reported": 1,
    }
    field.turn(5000)
    assert len(field.asked()) == 1, "what is proven is not asked for again"
    field.capture(2)
    field.turn(1)
    assert field.states()[:2] == [(2, 2, "closed"), (4, 4, "given_up")]


def test_nothing_is_given_up_before_all_that_was_read_is_stored(field: Field) -> None:
    with_a_gap(field)
    field.answer(3)
    field.turn(1)
    field.turn(600)
    assert field.states()[0] == (2, 4, "requested")
    field.turn(3600)
    gap = field.gaps()[0]
    assert (gap.state, gap.tries, gap.reason) == ("open", 1, "what was read has not arrived")


def test_what_arrives_and_closes_no_gap_holds_up_nobody(field: Field) -> None:
    with_a_gap(field)
    field.capture(0, 1, 5, meter=OTHER)
    field.capture(2, 3, 4)
    field.answer(3)
    field.ledger.check = lambda: None  # it sees nothing of this
    field.turn(1)
    field.turn(31)
    assert field.states() == [(2, 4, "requested")]
    field.turn(3600)
    gap = field.gaps()[0]
    assert (gap.state, gap.tries, gap.reason) == ("open", 1, "what arrived has closed no gap")
    assert field.asked()[0].state == "failed"


def test_a_backfill_ends_though_the_capture_period_changed_meanwhile(field: Field) -> None:
    announce(field, P)
    with_a_gap(field)
    announce(field, 2 * P)
    field.capture(0, 1, 5, meter=OTHER)
    field.capture(2, 3, 4)
    field.answer(3)
    field.turn(1)
    field.turn(31)
    assert field.states()[0] == (2, 4, "closed")
    assert field.asked()[0].state == "done"
    field.turn(1)
    assert [backfill.meter for backfill in field.asked()] == [METER, OTHER]


def announce(field: Field, period_s: int) -> None:
    """Tells as a gateway does how often the meter captures."""
    event = Event(
        id=f"{METER}/{period_s}", code="meter.identified", meter=METER,
        occurred_at=field.clock.now,
        attributes={"capture_period_s": period_s, "load_profile": PROFILE},
    )  # fmt: skip
    with writing(field.registry) as session:
        event_stored(session, GATEWAY, event)


def test_what_is_missing_beyond_the_range_stays_open(field: Field) -> None:
    field.clock.advance(6 * P)
    field.capture(0, 1)
    with writing(field.registry) as session:
        session.get_one(Meter, METER).last_contact_at = field.clock.now
    field.turn(10)
    assert field.states() == [(2, 5, "requested")]
    field.answer(0)
    field.turn(2 * P)
    field.turn(31)
    assert [each[:3] for each in field.states()] == [(2, 5, "given_up"), (6, 7, "open")]
    assert [gap.expected_count for gap in field.gaps()] == [4, 2]


def test_a_failure_is_tried_again_later_each_time(field: Field) -> None:
    with_a_gap(field)
    for count, pause in ((1, 100), (2, 200), (3, 400)):
        field.head_end.answer(field.command(), "failed", detail="timeout")
        field.turn(0)
        (gap,) = field.gaps()
        assert (gap.state, gap.tries, gap.reason) == ("open", count, "failed: timeout")
        field.turn(pause - 1)
        assert len(field.asked()) == count
        field.turn(2)
        assert len(field.asked()) == count + 1


def test_who_cannot_be_asked_is_not_asked(field: Field) -> None:
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    with writing(field.registry) as session:
        session.get_one(Gateway, GATEWAY).state = "offline"
    field.turn(10)
    assert field.asked() == []
    with writing(field.registry) as session:
        session.get_one(Gateway, GATEWAY).state = "online"
        session.get_one(Meter, METER).last_contact_at = datetime(2026, 1, 1, tzinfo=UTC)
    field.turn(10)
    assert field.asked() == []


def test_a_gateway_is_asked_for_no_more_at_once_than_it_may_be(field: Field) -> None:
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    field.capture(0, 1, 5, meter=OTHER)
    field.turn(10)
    assert [backfill.meter for backfill in field.asked()] == [METER]
    field.capture(2, 3, 4)
    field.answer(3)
    field.turn(31)
    field.turn(31)
    assert [backfill.meter for backfill in field.asked()] == [METER, OTHER]


def test_the_gaps_of_one_gateway_never_hide_those_of_another(field: Field) -> None:
    """The first is full; its thousands of gaps stand before the only one of the second."""
    field.clock.advance(6 * P)
    with writing(field.registry) as session:
        session.add(Gateway(id="gw-2", state="online", attributes={}, public_key="00" * 32))
        session.flush()
        kept = {"first_seen_at": field.clock.now, "last_contact_at": field.clock.now}
        kept |= {"logical_device_name": "HSP0000000000000"}
        for meter, gateway in (("A1", GATEWAY), ("A2", GATEWAY), ("Z1", "gw-2")):
            session.add(Meter(id=meter, gateway_id=gateway, **kept))
        at = field.clock.now - timedelta(days=60)
        for meter, count in (("A1", 1500), ("A2", 2600), ("Z1", 1)):
            for number in range(count):
                when = at + number * timedelta(minutes=30)
                session.add(
                    Gap(
                        meter=meter, profile=PROFILE, from_at=when, to_at=when, expected_count=1,
                        cause="unknown", state="open", tries=0, noticed_at=at,
                    )
                )  # fmt: skip
    field.backfills.turn()
    field.backfills.turn()
    assert sorted(backfill.meter for backfill in field.asked()) == ["A1", "Z1"]


def test_when_the_authority_is_away_the_request_is_taken_back(field: Field) -> None:
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    field.ledger.check()
    field.backfills.turn()
    field.clock.advance(61)
    field.backfills.turn()
    (gap,) = field.gaps()
    assert (gap.state, gap.reason) == ("open", "the authority does not answer")
    field.head_end.authority.turn()
    assert field.head_end.published() == []


def test_what_cannot_be_read_for_months_is_given_up(head_end: Any, tmp_path: Path) -> None:
    field = Field(head_end, tmp_path, LIMITS.model_copy(update={"give_up_days": 1}))
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    with writing(field.registry) as session:
        session.get_one(Gateway, GATEWAY).state = "offline"
    field.turn(10)
    field.turn(90_000)
    gap = field.gaps()[0]
    assert (gap.state, gap.proof) == ("given_up", None)
    assert gap.reason == "could not be read for 1 days"
    field.store.close()


def ask(head_end: Any, who: str = JOBS, **changes: str) -> tuple[str, str]:
    """Writes the gap ledger's request, changed, and returns its state and reason."""
    now = head_end.clock.now
    payload = {
        "meter": METER,
        "profile": PROFILE,
        "since": (now - timedelta(hours=2)).isoformat(),
        "until": (now - timedelta(hours=1)).isoformat(),
    }
    row = head_end.ask(who, "backfill.request", **payload | changes)
    return row.state, str(row.outcome.get("reason", ""))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"who": "ann"}, "only the gap ledger"),
        ({"profile": "1.0.99"}, "read.profile does not take"),
        ({"since": "yesterday"}, "read.profile does not take"),
        ({"since": "2026-06-01T11:30:00+00:00"}, "read.profile does not take"),
        ({"until": "2026-06-02T12:00:00+00:00"}, "in the future"),
        ({"since": "2026-01-01T00:00:00+00:00"}, "more than 40 days"),
        ({"meter": "HES999"}, "there is no meter"),
    ],
)
def test_the_authority_believes_nothing_of_a_request(
    head_end: Any, changes: dict[str, str], why: str
) -> None:
    state, reason = ask(head_end, **changes)
    assert state == "refused"
    assert why in reason
    assert head_end.published() == []


def test_the_authority_counts_for_itself(head_end: Any) -> None:
    limits = BackfillLimits()
    assert ask(head_end)[0] == "done"
    assert "on their way to one meter" in ask(head_end)[1]
    for _ in range(limits.meter_per_hour - 1):
        head_end.answer(head_end.published()[-1], "failed")
        assert ask(head_end)[0] == "done"
    head_end.answer(head_end.published()[-1], "failed")
    assert "an hour for a meter" in ask(head_end)[1]
    head_end.clock.advance(3601)
    assert ask(head_end)[0] == "done"


def test_a_backfill_never_holds_up_a_relay_command(head_end: Any) -> None:
    assert ask(head_end)[0] == "done"
    assert head_end.ask_disconnect().state == "done"


def test_the_kill_switch_of_relays_does_not_stop_reading(head_end: Any) -> None:
    head_end.ask("ann", "kill_switch.engage", reason="an exercise")
    assert ask(head_end)[0] == "done"
    assert head_end.published()[-1].kind == "read.profile"


def test_an_unanswered_backfill_expires_and_is_no_unknown_command(head_end: Any) -> None:
    ask(head_end)
    head_end.answer(head_end.published()[-1], "executing")
    head_end.clock.advance(BackfillLimits().expiry_s + 31)
    head_end.authority.turn()
    assert [command.state for command in head_end.commands()] == ["expired"]


MONTH_S, YEAR_S = 30 * 86_400, 365 * 86_400


def test_a_try_that_failed_while_the_clock_was_ahead_is_made_again_when_it_is_right(
    field: Field,
) -> None:
    with_a_gap(field)
    field.turn(MONTH_S)
    assert field.gaps()[0].state == "open"
    field.turn(-MONTH_S)
    assert [(backfill.meter, backfill.state) for backfill in field.asked()] == [
        (METER, "failed"),
        (METER, "sent"),
    ]


def test_what_was_read_while_the_clock_was_ahead_is_settled_when_it_is_right(field: Field) -> None:
    with_a_gap(field)
    field.clock.advance(YEAR_S)
    field.answer(3)
    field.head_end.authority.turn()
    field.backfills.turn()
    assert field.asked()[0].state == "read"
    field.clock.advance(-YEAR_S)
    field.capture(2, 3, 4)
    field.turn(31)
    assert field.asked()[0].state == "done"
    assert field.states()[0] == (2, 4, "closed")


def test_what_a_clock_that_was_ahead_gave_up_is_asked_for_when_it_is_right(field: Field) -> None:
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    state_of_the_gateway(field, "offline")
    field.turn(10)
    field.turn(YEAR_S)
    assert field.states()[0] == (2, 4, "given_up")
    state_of_the_gateway(field, "online")
    field.turn(-YEAR_S)
    assert field.states() == [(2, 4, "requested")]


def test_what_was_asked_for_by_a_clock_that_was_ahead_counts_for_no_hour_since(
    head_end: Any, tmp_path: Path
) -> None:
    field = Field(head_end, tmp_path, LIMITS.model_copy(update={"gateway_per_hour": 1}))
    field.clock.advance(6 * P)
    field.capture(0, 1, 5)
    field.turn(10)
    with writing(field.registry) as session:
        session.scalars(select(Backfill)).one().asked_at += timedelta(days=365)
    field.head_end.answer(field.command(), "failed", detail="timeout")
    with writing(head_end.databases.authority) as session:
        session.scalars(select(CommandRecord)).one().created_at += timedelta(days=365)
        meter = meter_facts(field.registry, METER)
        assert meter is not None
        check_rate(session, BackfillLimits(meter_per_hour=1), meter, field.clock())
    field.turn(1)
    field.turn(101)
    assert len(field.asked()) == 2
    field.store.close()


def state_of_the_gateway(field: Field, state: str) -> None:
    with writing(field.registry) as session:
        session.get_one(Gateway, GATEWAY).state = state
