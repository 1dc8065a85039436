"""The gap ledger: every missing capture is known, has a cause, and closes itself."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hesper_cloud import quantities
from hesper_cloud.assets.history import By
from hesper_cloud.assets.service_life import install, remove
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import FOREIGN, YES, Event, Gap, Gateway, Meter, MeterProfile
from hesper_cloud.gaps import GapLedger, Run, learned_period, missing_runs
from hesper_cloud.gaps.captures import Captures
from hesper_cloud.gaps.causes import last_words
from hesper_cloud.giving_way import GivesWay
from hesper_cloud.ingest.beginnings import Beginnings
from hesper_cloud.ingest.identified import event_stored
from hesper_cloud.ingest.intakes import CacheFeed
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, CommittedRows, Group
from hesper_contracts import columns
from hesper_contracts import events as contract_events
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from sqlalchemy import Engine, event, select, update
from tables import make_tables

P = 900
T0 = 1_790_000_100
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


def test_runs_of_missing_captures() -> None:
    captured = np.array([0, 1, 4, 5, 8]) * P
    assert missing_runs(captured, P, 0, 8 * P) == [Run(2 * P, 3 * P, 2), Run(6 * P, 7 * P, 2)]
    assert missing_runs(captured, P, 0, 10 * P)[-1] == Run(9 * P, 10 * P, 2)
    assert missing_runs(captured, P, 0, 0) == []
    assert missing_runs(np.arange(5) * P, P, 0, 4 * P) == []


def test_a_capture_a_little_late_is_no_gap_and_a_shifted_phase_is_kept() -> None:
    assert missing_runs(np.array([0, P + 7, 2 * P, 3 * P]), P, 0, 3 * P) == []
    assert missing_runs(np.array([5, P + 5, 3 * P + 5]), P, 5, 3 * P + 5) == [
        Run(2 * P + 5, 2 * P + 5, 1)
    ]


def test_the_period_is_learned_from_what_is_captured() -> None:
    assert learned_period(np.arange(10) * 5) == 5
    assert learned_period(np.array([0, 5])) is None


class Ledger:
    """A ledger over a real store and registry, with a clock that is set by hand.

    With ``captures`` it follows what is stored, as a head end that stores all by itself; without it
    reads the store at each look.
    """

    def __init__(self, folder: Path, url: str = "", captures: Captures | None = None) -> None:
        self.engine: Engine = open_engine(url or f"sqlite:///{folder / 'hesper.db'}")
        make_tables(self.engine)
        self.store = DuckDbStore(folder / "readings.duckdb")
        self.now = T0
        self.captures = captures
        self.ledger = self.looking()
        with writing(self.engine) as session:
            session.add(Gateway(id="gw-1", state="online", attributes={}))
            session.flush()
            for meter in ("M1", "M2"):
                session.add(
                    Meter(
                        id=meter, gateway_id="gw-1", first_seen_at=self.clock(),
                        last_contact_at=self.clock(), capture_period_s=P,
                    )
                )  # fmt: skip

    def looking(self, profiles: Callable[[], Collection[str]] = tuple) -> GapLedger:
        return GapLedger(
            *(self.engine, self.store, RuleSettings(), self.clock, profiles),
            captures=self.captures,
        )

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def put(self, block: Block, at: int) -> None:
        """Stores a block as ingest does."""
        (accepted,) = self.store.write(Group({}, [block], at)).accepted
        if self.captures is not None:
            self.captures.rows_committed(CommittedRows("", block, accepted, at))

    def capture(self, meter: str, *periods: int, late_s: int = 0) -> Block:
        at = [T0 + P * n + late_s for n in periods]
        rows = MeterRows(meter, at, [0] * len(at), [0] * len(at), [list(at)])
        section = Section(LOAD_PROFILE, at[-1], (ENERGY,), [rows])
        block = block_of(columns.from_sections([section])[0])
        self.put(block, at[-1])
        with writing(self.engine) as session:
            session.get_one(Meter, meter).last_contact_at = datetime.fromtimestamp(at[-1], UTC)
        return block

    def check(self, period: float) -> list[tuple[str, int, int, str, str]]:
        self.now = int(T0 + P * period)
        self.ledger.check()
        with reading(self.engine) as session:
            return [
                (
                    gap.meter,
                    (int(gap.from_at.timestamp()) - T0) // P,
                    (int(gap.to_at.timestamp()) - T0) // P,
                    gap.state,
                    gap.cause,
                )
                for gap in session.scalars(select(Gap).order_by(Gap.id))
            ]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path, captures=Captures())
    yield made
    made.store.close()
    made.engine.dispose()


def test_a_gap_opens_grows_and_closes_itself(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 1)
    assert ledger.check(2.5) == []  # the second is not due until a period of grace has passed
    assert ledger.check(3.1) == [("M1", 2, 2, "open", "unknown")]
    assert ledger.check(5.1) == [("M1", 2, 4, "open", "line")]  # by now nobody on it is heard
    ledger.capture("M1", 2, 3, 4, 5, 6)
    assert ledger.check(7.5) == [("M1", 2, 4, "closed", "line")]


def test_a_gap_that_is_partly_filled_is_split_and_keeps_its_cause(ledger: Ledger) -> None:
    with writing(ledger.engine) as session:
        session.get_one(Gateway, "gw-1").state = "offline"
    ledger.capture("M1", 0, 6)
    assert ledger.check(7) == [("M1", 1, 5, "open", "gateway offline")]
    with writing(ledger.engine) as session:
        session.get_one(Gateway, "gw-1").state = "online"
    ledger.capture("M1", 3)
    ledger.capture("M1", 7)
    assert ledger.check(8) == [
        ("M1", 1, 2, "open", "gateway offline"),
        ("M1", 4, 5, "open", "gateway offline"),
    ]
    ledger.capture("M1", 1, 2, 4, 5)
    assert {state for *_, state, _ in ledger.check(8)} == {"closed"}


def test_what_a_person_settles_during_a_look_stays_as_they_said(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 1)
    ledger.capture("M1", 4)
    assert [gap[1:4] for gap in ledger.check(5)] == [(2, 3, "open")]

    def give_up(_: float) -> None:
        with writing(ledger.engine) as session:
            session.execute(update(Gap).where(Gap.state == "open").values(state="given_up"))

    ledger.capture("M1", 2, 3)
    ledger.ledger = GapLedger(
        *(ledger.engine, ledger.store, RuleSettings(), ledger.clock),
        giving_way=GivesWay(lambda: 1.0, give_up),
    )
    assert [gap[1:4] for gap in ledger.check(5)] == [(2, 3, "given_up")]


def test_one_silent_meter_or_a_whole_line(ledger: Ledger) -> None:
    ledger.capture("M1", 0)
    ledger.capture("M2", *range(9))
    found = ledger.check(9)
    assert found == [("M1", 1, 8, "open", "silent meter")]
    ledger.capture("M1", *range(1, 9))
    assert ledger.check(14)[1:] == [
        ("M1", 9, 13, "open", "line"),
        ("M2", 9, 13, "open", "line"),
    ]


def test_old_open_gaps_are_still_watched(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 2)
    assert ledger.check(3.5)[0][:4] == ("M1", 1, 1, "open")
    ledger.capture("M1", *range(3, 500))
    assert ledger.check(500)[0][:4] == ("M1", 1, 1, "open")
    ledger.capture("M1", 1)
    assert ledger.check(500)[0][:4] == ("M1", 1, 1, "closed")


def test_times_are_aware_and_say_when_it_closed(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 2)
    ledger.check(3.5)
    ledger.capture("M1", 1, 3)
    ledger.check(4)
    with reading(ledger.engine) as session:
        gap = session.scalars(select(Gap)).one()
    assert gap.closed_at == ledger.clock()
    assert gap.closed_at - gap.noticed_at == timedelta(seconds=P / 2)


def told(
    ledger: Ledger, code: str, period: int, hop: str = "", profile: str = "", by: str = "gw-1"
) -> None:
    """Tells as a gateway does where its visits to M1 stop, or that they do not."""
    attributes = {"hop": hop, "profile": profile} | ({} if by == "gw-1" else {FOREIGN: YES})
    with writing(ledger.engine) as session:
        session.add(
            Event(
                id=f"M1/{period}/{code}/{by}", meter="M1", gateway=by, code=code,
                severity="warning", text="", attributes=attributes,
                occurred_at=datetime.fromtimestamp(T0 + P * period, UTC),
                stored_at=ledger.clock(),
            )
        )  # fmt: skip


def test_what_the_gateway_says_of_its_visits_is_the_cause(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 1)
    assert ledger.check(3.1)[0][3:] == ("open", "unknown")
    told(ledger, "meter.unreachable", 3, "line")
    assert ledger.check(3.5)[0][3:] == ("open", "line")
    told(ledger, "meter.reachable", 4)
    ledger.capture("M1", 2, 3, 4)
    assert ledger.check(5)[0][3:] == ("closed", "line")
    told(ledger, "meter.unreachable", 6, "association")
    assert ledger.check(7)[1][3:] == ("open", "association")
    told(ledger, "meter.reachable", 8)
    ledger.capture("M1", 5, 6, 7, 8)
    assert ledger.check(8.5)[1][3:] == ("closed", "association")
    told(ledger, "meter.unreachable", 10, "access")
    assert ledger.check(11)[2][3:] == ("open", "meter refuses")


def test_what_another_gateway_says_of_the_meter_is_no_cause(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 1)
    told(ledger, "meter.unreachable", 2, "line", by="gw-2")
    told(ledger, "meter.profile_refused", 2, "access", "1.0.99.1.0.255", by="gw-2")
    assert ledger.check(3.1)[0][3:] == ("open", "unknown")
    told(ledger, "meter.unreachable", 3, "association")
    told(ledger, "meter.reachable", 4, by="gw-2")
    assert ledger.check(4.5)[0][3:] == ("open", "association")
    with reading(ledger.engine) as session:
        assert last_words(session, ["M1"], ledger.clock())["M1"].gateway == "gw-1"


def test_what_a_gateway_told_before_it_started_anew_does_not_count(ledger: Ledger) -> None:
    """It never said that the meter answers again: it did not know that it had not."""
    ledger.capture("M1", 0, 1)
    told(ledger, "meter.unreachable", 2, "line")
    assert ledger.check(3.1) == [("M1", 2, 2, "open", "line")]
    ledger.capture("M1", 2, 3, 4)
    with writing(ledger.engine) as session:
        session.get_one(Gateway, "gw-1").started_at = datetime.fromtimestamp(T0 + 3 * P, UTC)
    assert ledger.check(6.1)[1:] == [("M1", 5, 5, "open", "unknown")]
    told(ledger, "meter.unreachable", 6, "association")
    assert ledger.check(6.5)[1:] == [("M1", 5, 5, "open", "association")]


def test_a_meter_that_answers_and_refuses_its_load_profile_is_the_cause(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 1)
    told(ledger, "meter.profile_refused", 2, "access", "1.0.99.2.0.255")
    assert ledger.check(3.1) == [("M1", 2, 2, "open", "unknown")]
    told(ledger, "meter.profile_refused", 3, "access", quantities.LOAD_PROFILE)
    assert ledger.check(3.5) == [("M1", 2, 2, "open", "meter refuses")]
    told(ledger, "meter.profile_given", 4, profile=quantities.LOAD_PROFILE)
    ledger.capture("M1", 2, 3, 4)
    assert ledger.check(6.1) == [
        ("M1", 2, 2, "closed", "meter refuses"),
        ("M1", 5, 5, "open", "unknown"),
    ]


def test_a_meter_that_has_been_refusing_for_weeks_is_not_called_silent(ledger: Ledger) -> None:
    week = 7 * 96
    for period, code, hop in (
        (2, "meter.unreachable", "timeout"), (3, "meter.reachable", ""),
        (5, "meter.unreachable", "association"),
    ):  # fmt: skip
        told(ledger, code, period, hop)
    ledger.capture("M1", 0, 1, 4)
    ledger.capture("M2", *range(2 * week))
    assert ledger.check(week)[-1][3:] == ("open", "association")
    assert ledger.check(2 * week)[-1][3:] == ("open", "association")


DAILY = "1.0.99.2.0.255"


def identified(ledger: Ledger, period: int, **attributes: object) -> None:
    """Tells as a gateway does which profile the meter captures, and how often."""
    event = contract_events.Event(
        id=f"M1/{period}", code="meter.identified", meter="M1",
        occurred_at=datetime.fromtimestamp(T0 + P * period, UTC),
        attributes={"capture_period_s": P, **attributes},
    )  # fmt: skip
    with writing(ledger.engine) as session:
        event_stored(session, "gw-1", event)


def test_an_announced_profile_of_which_nothing_ever_came_is_missing(ledger: Ledger) -> None:
    identified(ledger, 0, load_profile=DAILY, capture_period_s=2 * P)
    ledger.capture("M2", *range(10))
    found = [row for row in ledger.check(9) if row[0] == "M1"]
    assert [row[3:] for row in found] == [("open", "silent meter")]
    with reading(ledger.engine) as session:
        gap = session.scalars(select(Gap).where(Gap.meter == "M1")).one()
    assert (gap.profile, gap.expected_count) == (DAILY, 4)


def test_every_profile_that_is_stored_is_watched_once_its_period_is_known(ledger: Ledger) -> None:
    ledger.ledger = ledger.looking(lambda: {DAILY, "0.0.21.0.1.255"})
    at = [T0 + 2 * P * n for n in range(12) if n != 10]
    for profile in (bytes((1, 0, 99, 2, 0, 255)), bytes((0, 0, 21, 0, 1, 255))):
        rows = MeterRows("M1", at, [0] * len(at), [0] * len(at), [list(at)])
        section = Section(profile, at[-1], (ENERGY,), [rows])
        ledger.put(block_of(columns.from_sections([section])[0]), at[-1])
    ledger.check(24)
    with reading(ledger.engine) as session:
        gaps = session.scalars(select(Gap)).all()
        known = session.scalars(select(MeterProfile)).all()
    assert [(gap.profile, int(gap.from_at.timestamp())) for gap in gaps] == [(DAILY, T0 + 20 * P)]
    assert [(row.profile, row.capture_period_s, row.source) for row in known] == [
        (DAILY, 2 * P, "learned")
    ]


def test_under_a_new_period_the_time_before_is_not_judged_any_more(ledger: Ledger) -> None:
    identified(ledger, 0)
    ledger.capture("M1", 0, 4, 8)
    assert [row[1:3] for row in ledger.check(9.5)] == [(1, 3), (5, 7)]
    identified(ledger, 8, capture_period_s=4 * P)
    ledger.capture("M1", 12, 16)
    with reading(ledger.engine) as session:
        row = session.get_one(MeterProfile, ("M1", "1.0.99.1.0.255"))
    assert (row.capture_period_s, row.period_since) == (
        4 * P, datetime.fromtimestamp(T0 + 8 * P, UTC),
    )  # fmt: skip
    assert len(ledger.check(20)) == 2


def test_gaps_from_under_a_former_period_close_themselves(ledger: Ledger) -> None:
    identified(ledger, 0)
    ledger.capture("M1", 0, 3, 8)
    assert [row[1:4] for row in ledger.check(9.5)] == [(1, 2, "open"), (4, 7, "open")]
    identified(ledger, 8, capture_period_s=4 * P)
    ledger.capture("M1", 1, 2, 4, 6)
    ledger.capture("M1", 12, 16)
    found = [row[1:4] for row in ledger.check(17)]
    assert found == [(1, 2, "closed"), (5, 5, "open"), (7, 7, "open")]
    ledger.capture("M1", 5, 7)
    assert {row[3] for row in ledger.check(800)[:3]} == {"closed"}


def test_a_gap_over_a_change_of_the_period_counts_once(ledger: Ledger) -> None:
    identified(ledger, 0)
    ledger.capture("M1", 0, 1)
    ledger.check(7.5)
    identified(ledger, 4, capture_period_s=2 * P)
    found = [row[1:4] for row in ledger.check(9.5)]
    assert found == [(2, 3, "open"), (5, 7, "open")]


DAYS = 4 * 96


def test_a_gap_of_a_meter_that_captures_some_seconds_later_by_now_is_listed_once(
    ledger: Ledger,
) -> None:
    ledger.capture("M1", 0, 1, 2, 3)
    ledger.check(5)
    ledger.capture("M1", *range(DAYS, DAYS + 99), late_s=5)
    assert [row[1:4] for row in ledger.check(DAYS + 99)] == [(4, DAYS - 1, "open")]
    ledger.capture("M1", *range(4, DAYS), late_s=5)
    assert [row[3] for row in ledger.check(DAYS + 99.5)] == ["closed"]
    with reading(ledger.engine) as session:
        assert session.scalars(select(Gap)).one().proof == {"captures": DAYS - 4}


def test_what_was_given_up_stays_so_where_the_meter_captures_later_by_now(
    ledger: Ledger,
) -> None:
    ledger.capture("M1", *range(9), *range(10, 20))
    ledger.check(20.5)
    with writing(ledger.engine) as session:
        session.execute(update(Gap).values(state="given_up"))
    ledger.capture("M1", *range(20, 60), late_s=5)
    assert [row[1:4] for row in ledger.check(61)] == [(9, 9, "given_up")]


def test_of_two_rows_for_one_gap_none_is_closed_before_its_captures_come(ledger: Ledger) -> None:
    ledger.capture("M1", 0, 1, 6)
    assert [row[1:4] for row in ledger.check(7)] == [(2, 5, "open")]
    with writing(ledger.engine) as session:
        session.add(
            Gap(
                meter="M1", profile="1.0.99.1.0.255", expected_count=2, cause="unknown",
                from_at=datetime.fromtimestamp(T0 + 4 * P, UTC),
                to_at=datetime.fromtimestamp(T0 + 5 * P, UTC),
                state="open", tries=0, noticed_at=ledger.clock(),
            )
        )  # fmt: skip
    assert [row[1:4] for row in ledger.check(7)] == [(2, 5, "open")]


def test_nothing_is_missing_of_the_time_that_a_meter_was_away(ledger: Ledger) -> None:
    ledger.capture("M1", *range(8))
    assert ledger.check(11)[0][:4] == ("M1", 8, 10, "open")
    gone, back = (By("ann", datetime.fromtimestamp(T0 + P * n - 60, UTC)) for n in (11, 20))
    with writing(ledger.engine) as session:
        remove(session, session.get_one(Meter, "M1"), None, gone)
    ledger.check(15)
    with writing(ledger.engine) as session:
        install(session, session.get_one(Meter, "M1"), "gw-1", {}, back)
    ledger.capture("M1", 20, 21, 24, 25)
    for period in (26.5, 100):
        found = [row[1:4] for row in ledger.check(period) if row[0] == "M1"]
        assert found[:2] == [(8, 10, "given_up"), (22, 23, "open")]
        assert all(first > 25 for first, *_ in found[2:])


def test_when_every_gateway_is_gone_it_is_the_broker(ledger: Ledger) -> None:
    with writing(ledger.engine) as session:
        session.add(Gateway(id="gw-2", state="offline", attributes={}))
        session.get_one(Gateway, "gw-1").state = "offline"
        session.flush()
        session.get_one(Meter, "M2").gateway_id = "gw-2"
    ledger.capture("M1", 0)
    assert ledger.check(5)[0][3:] == ("open", "broker")


@pytest.mark.parametrize(("rule", "cause"), [("broker-lost", "broker"), ("store-away", "store")])
def test_what_the_head_end_lacks_is_nobody_elses_fault(
    ledger: Ledger, rule: str, cause: str
) -> None:
    ledger.capture("M1", 0, 1)
    ledger.capture("M2", 0)
    ledger.check(4.5)
    ledger.capture("M2", 1, 2, 3, 4)
    ledger.capture("M1", 2, 3, 4)
    ledger.now = T0 + 5 * P
    Alerts(ledger.engine, ledger.clock).raise_(Subject(rule), "critical", "away")
    assert [row[3:] for row in ledger.check(8) if row[3] == "open"] == [("open", cause)] * 2


def test_a_gap_of_before_is_not_the_brokers_fault_and_one_of_now_is(ledger: Ledger) -> None:
    ledger.capture("M1", 0)
    ledger.capture("M2", 0, *range(10, 21))
    ledger.check(20)
    Alerts(ledger.engine, ledger.clock).raise_(Subject("broker-lost"), "critical", "away")
    found = [(row[0], row[1], row[4]) for row in ledger.check(24)]
    assert found == [("M1", 1, "silent meter"), ("M2", 1, "line"), ("M2", 21, "broker")]


def test_without_an_event_the_counted_failures_are_the_cause(ledger: Ledger) -> None:
    with writing(ledger.engine) as session:
        counts = {"association": 40, "timeout": 3, "=no hop": 999}
        session.get_one(Gateway, "gw-1").attributes = {"failures": counts}
    ledger.capture("M1", 0)
    ledger.capture("M2", *range(9))
    assert ledger.check(9) == [("M1", 1, 8, "open", "association")]


def test_readings_that_wait_for_a_receipt_are_not_the_meters_fault(ledger: Ledger) -> None:
    with writing(ledger.engine) as session:
        gateway = session.get_one(Gateway, "gw-1")
        gateway.backlog, gateway.last_seen_at = 9, datetime.fromtimestamp(T0 + 5 * P, UTC)
        gateway.oldest_unreceipted_at = datetime.fromtimestamp(T0, UTC)
    ledger.capture("M1", 0)
    assert ledger.check(5)[0][3:] == ("open", "broker")


@contextmanager
def written(engine: Engine) -> Iterator[list[tuple[str, int]]]:
    """Collects what is written: the statement's first words, and for how many rows."""
    found: list[tuple[str, int]] = []

    def note(_c: object, _u: object, sql: str, told: object, _x: object, many: bool) -> None:
        words = sql.split()
        if words[0] in {"INSERT", "UPDATE", "DELETE", "BEGIN"} and words[-1] != "DEFERRED":
            found.append(
                (" ".join(words[: 3 if words[0] != "UPDATE" else 2]), len(told) if many else 1)
            )

    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


def a_fleet(ledger: Ledger, count: int) -> list[str]:
    """Meters with a gap each, beside M1 and M2: one that is known to be the line's, one unknown."""
    names = [f"M{each}" for each in range(1, count + 1)]
    with writing(ledger.engine) as session:
        session.add(Gateway(id="gw-2", state="offline", attributes={}))
        session.flush()
        for each in names[2:]:
            session.add(
                Meter(id=each, gateway_id="gw-2", first_seen_at=ledger.clock(), capture_period_s=P)
            )
    for each in names:
        ledger.capture(each, 0, 1, 4, 5, 8)
    return names


def test_a_look_at_a_fleet_that_has_not_changed_writes_nothing(ledger: Ledger) -> None:
    names = a_fleet(ledger, 12)
    first = ledger.check(9.5)
    assert len(first) == 2 * len(names)
    with writing(ledger.engine) as session:
        session.scalars(select(Gap).where(Gap.meter == "M3")).first().state = "given_up"
    with written(ledger.engine) as found:
        ledger.check(9.6)
        ledger.check(9.9)
    assert found == []


def test_of_a_fleet_only_what_has_changed_is_written(ledger: Ledger) -> None:
    a_fleet(ledger, 12)
    ledger.check(9.5)
    ledger.capture("M7", 3)
    ledger.capture("M9", 6, 7)
    with written(ledger.engine) as found:
        after = ledger.check(9.6)
    assert found == [("BEGIN IMMEDIATE", 1), ("UPDATE gaps", 1), ("UPDATE gaps", 1)]
    assert [row[1:4] for row in after if row[0] == "M7"] == [(2, 2, "open"), (6, 7, "open")]
    assert [row[1:4] for row in after if row[0] == "M9"] == [(2, 3, "open"), (6, 7, "closed")]


def test_every_gap_that_grows_is_written_at_once(ledger: Ledger) -> None:
    names = a_fleet(ledger, 12)
    ledger.check(10.5)
    with written(ledger.engine) as found:
        after = ledger.check(12.5)
    others = 2 * 2  # of M1 and M2: nothing was known of their cause, by now they are silent
    assert found == [("BEGIN IMMEDIATE", 1), ("UPDATE gaps", len(names) + others)]
    assert {row[2] for row in after if row[1] == 9} == {11}


def test_captures_from_before_the_first_move_what_is_expected(ledger: Ledger) -> None:
    with writing(ledger.engine) as session:
        session.get_one(Meter, "M1").capture_period_s = None
    ledger.capture("M1", *range(20, 31))
    assert ledger.check(31) == []
    ledger.capture("M1", 17)
    assert [row[1:3] for row in ledger.check(31)] == [(18, 19)]
    with reading(ledger.engine) as session:
        row = session.get_one(MeterProfile, ("M1", "1.0.99.1.0.255"))
        period_s = session.get_one(Meter, "M1").capture_period_s
    assert (row.expected_from, row.source) == (
        datetime.fromtimestamp(T0 + 17 * P, UTC), "learned",
    )  # fmt: skip
    assert (row.capture_period_s, period_s) == (P, P)


def test_the_ledger_on_postgresql(tmp_path: Path, postgres_database: Callable[[], str]) -> None:
    ledger = Ledger(tmp_path, postgres_database())
    ledger.capture("M1", *range(2, 10), 13)
    assert ledger.check(14.5) == [("M1", 10, 12, "open", "unknown")]
    ledger.capture("M1", 0, 11)
    found = [row[:4] for row in ledger.check(14.6)]
    assert found == [("M1", 10, 10, "open"), ("M1", 1, 1, "open"), ("M1", 12, 12, "open")]
    ledger.capture("M1", 1, 10, 12)
    assert {row[3] for row in ledger.check(14.7)} == {"closed"}
    ledger.store.close()
    ledger.engine.dispose()


def test_rows_lost_before_the_ledgers_first_look_are_missing(ledger: Ledger) -> None:
    """They were stored before the meter was announced, and nothing of them is left but a record."""
    beginnings, feed = following(ledger)
    stored = ledger.capture("M1", 0, 1, 2)
    feed.rows_committed(CommittedRows("gw-1", stored, np.ones(3, dtype=bool), T0 + 2 * P))
    beginnings.flush(at_once=True)
    identified(ledger, 2, load_profile="1.0.99.1.0.255")
    ledger.store.erase("M1")
    ledger.capture("M1", 3, 4)
    assert ledger.check(5)[0][:4] == ("M1", 0, 2, "open")


def test_what_an_unset_clock_captured_says_nothing_of_when_captures_began(ledger: Ledger) -> None:
    beginnings, feed = following(ledger)
    stored = ledger.capture("M1", -200_000, -199_999)
    feed.rows_committed(CommittedRows("gw-1", stored, np.ones(2, dtype=bool), T0))
    beginnings.flush(at_once=True)
    with reading(ledger.engine) as session:
        assert session.scalars(select(MeterProfile)).all() == []


def following(ledger: Ledger) -> tuple[Beginnings, CacheFeed]:
    beginnings = Beginnings(ledger.engine, monotonic=lambda: 0.0)
    return beginnings, CacheFeed(LatestValues(), beginnings.note)
