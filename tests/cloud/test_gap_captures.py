"""What is kept in memory of captures is what is stored, and looks at gaps need nothing else."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Gap, Gateway, Meter
from hesper_cloud.gaps import GapLedger, fleet, looks
from hesper_cloud.gaps.captures import AHEAD_S, Captures
from hesper_cloud.gaps.kept import Kept
from hesper_cloud.gaps.tending import Tending
from hesper_cloud.ingest.identified import event_stored
from hesper_cloud.latest import LatestValues
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.services import captured as lately
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, CommittedRows, Fault, Group, Integers
from hesper_contracts import columns, readings
from hesper_contracts import events as contract_events
from hesper_contracts.readings import MeterRows, Quantity, Section
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import OperationalError
from tables import make_tables

P = 900
DAY = 86_400
T0 = 1_790_000_100
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


def times_of(random: np.random.Generator) -> Integers:
    """Three days of a meter: regular, late at times, with holes, at odd times, hardly any."""
    period_s = int(random.choice([1, 60, 900, 3600, 86_400]))
    count = int(random.choice([0, 1, 2, 3, 40, min(3 * DAY // period_s, 2000)]))
    phase = int(random.integers(0, period_s))
    times = (T0 // period_s + np.arange(count)) * period_s + phase
    late = (random.random(count) < random.choice([0.0, 0.05, 1.0])) * random.integers(0, 300, count)
    return np.unique((times + late)[random.random(count) < random.choice([0.3, 0.9, 1.0])])


def as_sets(found: dict[str, Integers]) -> dict[str, list[int]]:
    return {meter: times.tolist() for meter, times in found.items() if len(times)}


def a_fleet(meters: int) -> dict[str, Integers]:
    random = np.random.default_rng(20_261_122)
    return {f"M{number}": times_of(random) for number in range(meters)}


def taken(kept: Kept, truth: dict[str, Integers]) -> None:
    """Lets captures come in by parts, meters and times mixed."""
    every = [(meter, at) for meter, times in truth.items() for at in times.tolist()]
    for part in np.array_split(np.random.default_rng(5).permutation(len(every)), 30):
        names = sorted({every[place][0] for place in part})
        places = {name: number for number, name in enumerate(names)}
        index = np.array([places[every[place][0]] for place in part])
        kept.take(names, index, np.array([every[place][1] for place in part]))


def test_nothing_is_lost_and_nothing_added_whatever_the_times_are() -> None:
    truth, kept = a_fleet(1300), Kept()
    half = {meter: times[times % 7 > 2] for meter, times in truth.items()}
    kept.put(half)
    assert as_sets(kept.times(list(truth), 0, 2**33)) == as_sets(half)
    taken(kept, truth)
    kept.put(half)  # read again, from before the others came
    assert as_sets(kept.times(list(truth), 0, 2**33)) == as_sets(truth)
    for start, end in ((T0 + 5000, T0 + 90_000), (T0 + DAY, T0 + DAY + 1), (T0 + 60, T0 + 60)):
        within = {m: t[(t >= start) & (t < end)] for m, t in truth.items()}
        assert as_sets(kept.times(list(truth), start, end)) == as_sets(within)


def test_what_is_erased_or_past_is_forgotten_and_nothing_else() -> None:
    truth, kept = a_fleet(300), Kept()
    taken(kept, truth)
    for meter in list(truth)[::3]:
        kept.remove(meter, T0 + 1000, T0 + 50_000)
        gone = (truth[meter] >= T0 + 1000) & (truth[meter] < T0 + 50_000)
        truth[meter] = truth[meter][~gone]
    assert as_sets(kept.times(list(truth), 0, 2**33)) == as_sets(truth)
    kept.trim(T0 + 40_000)
    later = {meter: times[times >= T0 + 40_000] for meter, times in truth.items()}
    assert as_sets(kept.times(list(truth), T0 + 40_000, 2**33)) == as_sets(later)
    kept.trim(T0 + 300 * DAY)  # tables of bits last for some time beyond
    assert kept.times(list(truth), 0, 2**33) == {}


def test_what_comes_first_of_many_meters_at_once_is_kept_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Meters that tell of a step are given a comb together, not one by one."""
    kept, truth = Kept(), {n: t for n, t in a_fleet(2500).items() if len(t)}
    truth |= {f"R{number}": T0 + 60 * (1 + number % 3) * np.arange(6) for number in range(2100)}
    names, counts = list(truth), [len(times) for times in truth.values()]
    begun: list[str] = []
    begin = Kept._begin
    monkeypatch.setattr(Kept, "_begin", lambda *given: begun.append(given[1]) or begin(*given))
    kept.take(names, np.repeat(np.arange(len(names)), counts), np.concatenate([*truth.values()]))
    assert as_sets(kept.times(names, 0, 2**33)) == as_sets(truth)
    assert begun
    assert not any(meter.startswith("R") for meter in begun)
    assert not any(meter.startswith("R") for meter in kept._loose)
    kept.empty(names[::2])
    rest = {meter: truth[meter] for meter in names[1::2]}
    assert as_sets(kept.times(names, 0, 2**33)) == as_sets(rest)


def test_of_a_meter_that_is_named_twice_all_is_kept() -> None:
    kept = Kept()
    index = np.repeat([0, 1, 2], 3)
    kept.take(["M1", "M2", "M1"], index, T0 + np.array([0, 60, 120, 0, 60, 120, 300, 400, 500]))
    assert as_sets(kept.times(["M1", "M2"], 0, 2**33)) == {
        "M1": [T0, T0 + 60, T0 + 120, T0 + 300, T0 + 400, T0 + 500],
        "M2": [T0, T0 + 60, T0 + 120],
    }


def test_a_capture_of_a_regular_meter_takes_a_bit() -> None:
    kept = Kept()
    kept.put({f"M{number}": T0 // P * P + P * np.arange(192) for number in range(1024)})
    octets = sum(table.nbytes for comb in kept._combs for table in comb._tables.values())
    assert octets / 1024 <= 3 * 128 / 8  # two days lie in three tables at most
    assert not kept._loose


def block(meter: str, *periods: int, profile: bytes = readings.LOAD_PROFILE) -> Block:
    at = [T0 + P * n for n in periods]
    rows = MeterRows(meter, at, [0] * len(at), [0] * len(at), [list(at)])
    section = Section(profile, at[-1], (ENERGY,), [rows])
    return block_of(columns.from_sections([section])[0])


class CountingStore(DuckDbStore):
    """Counts how often capture times are read."""

    reads = 0

    def captured(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> dict[str, Integers]:
        self.reads += 1
        return super().captured(profile, start, end, meters)


class Site:
    """A head end's store, registry and ledger; a second process may store beside it.

    One that does not follow what is stored reads the store at each look.
    """

    def __init__(self, folder: Path, *, follows: bool = True) -> None:
        folder.mkdir(exist_ok=True)
        self.engine = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        make_tables(self.engine)
        self.store = CountingStore(folder / "readings.duckdb")
        self.captures, self.latest = Captures(), LatestValues()
        self.now = T0
        self.ledger = GapLedger(
            *(self.engine, self.store, RuleSettings(), self.clock),
            captures=self.captures if follows else None,
        )
        with writing(self.engine) as session:
            session.add(Gateway(id="gw-1", state="online", attributes={}))
            session.flush()
            for meter in ("M1", "M2"):
                row = Meter(id=meter, gateway_id="gw-1", first_seen_at=self.clock())
                row.capture_period_s = P
                session.add(row)

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def erase(self, meter: str, start: int, end: int) -> None:
        self.store.erase(meter, start, end)
        self.captures.forget(meter, start, end)
        self.latest.forget(meter, start, end)

    def announce(self, meter: str, period_s: int) -> None:
        """Has a gateway tell of another period."""
        told = contract_events.Event(
            id=f"{meter}/{self.now}", code="meter.identified", meter=meter,
            occurred_at=self.clock(), attributes={"capture_period_s": period_s},
        )  # fmt: skip
        with writing(self.engine) as session:
            event_stored(session, "gw-1", told)

    def give_up(self, meter: str) -> None:
        """Has somebody settle what is missing of a meter."""
        of = (Gap.meter == meter, Gap.state == "open")
        with writing(self.engine) as session:
            session.execute(update(Gap).where(*of).values(state="given_up"))

    def put(self, meter: str, *periods: int, told: bool = True) -> None:
        rows = block(meter, *periods)
        (accepted,) = self.store.write(Group({}, [rows], self.now * 1000)).accepted
        if told:
            self.captures.rows_committed(CommittedRows("", rows, accepted, self.now))
        firsts = self.latest.take(rows, accepted, self.now)
        if told:
            self.captures.note(rows.profile, firsts, self.now)

    def close(self) -> None:
        self.store.close()
        self.engine.dispose()

    def gaps(self, period: float) -> list[tuple[str, int, int, str]]:
        self.now = int(T0 + P * period)
        self.ledger.check()
        with reading(self.engine) as session:
            return [
                (gap.meter, *((int(at.timestamp()) - T0) // P for at in (gap.from_at, gap.to_at)),
                 gap.state)
                for gap in session.scalars(select(Gap).order_by(Gap.id))
            ]  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Any:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_look_with_little_or_nothing_new_does_not_read_the_store(site: Site) -> None:
    site.put("M1", *range(10))
    site.put("M2", *range(8))
    assert site.gaps(10.5) == [("M2", 8, 9, "open")]
    before = site.store.reads
    site.put("M2", 9)
    assert site.gaps(10.6) == [("M2", 8, 8, "open")]
    site.put("M1", 10, 12)
    site.put("M2", 8, 10, 11, 12)
    assert site.gaps(13.5) == [("M2", 8, 8, "closed"), ("M1", 11, 11, "open")]
    assert site.store.reads == before


def test_a_meter_that_comes_into_the_registry_is_read_once(site: Site) -> None:
    site.put("M3", *range(10), told=False)
    site.gaps(10.5)
    with writing(site.engine) as session:
        row = Meter(id="M3", gateway_id="gw-1", first_seen_at=site.clock(), capture_period_s=P)
        session.add(row)
    before = site.store.reads
    site.put("M3", 12)
    assert site.gaps(13.5)[-1] == ("M3", 10, 11, "open")
    assert site.store.reads == before + 1
    site.gaps(13.6)
    assert site.store.reads == before + 1


def test_a_meter_that_is_heard_for_the_first_time_needs_no_reading(site: Site) -> None:
    site.gaps(0.5)
    with writing(site.engine) as session:
        row = Meter(id="M3", gateway_id="gw-1", first_seen_at=site.clock(), capture_period_s=P)
        session.add(row)
    before = site.store.reads
    site.put("M3", 1, 2, 4)
    assert site.gaps(4.5) == [("M3", 3, 3, "open")]
    assert site.store.reads == before
    site.erase("M3", T0 + 4 * P, T0 + 5 * P)
    site.put("M3", 5)  # the first again by the latest values, but not all that is stored
    assert site.gaps(5.5)[0] == ("M3", 3, 4, "open")
    assert site.store.reads == before + 1


def test_meters_that_capture_often_are_read_few_at_a_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look after a start knows from the registry how often they capture."""
    names = [f"N{number}" for number in range(9)]
    with writing(site.engine) as session:
        for place, name in enumerate(names):
            period_s = 60 if place < 4 else P
            row = Meter(id=name, first_seen_at=site.clock(), capture_period_s=period_s)
            session.add(row)
    asked: list[list[str]] = []
    captured = site.store.captured

    def counted(profile: str, start: int, end: int, meters: Sequence[str] | None = None) -> Any:
        asked.append(sorted(meters or []))
        return captured(profile, start, end, meters)

    monkeypatch.setattr(site.store, "captured", counted)
    monkeypatch.setattr(looks, "CAPTURES_AT_ONCE", 2 * 36 * DAY // 60)
    site.gaps(0.5)
    assert [name for part in asked for name in part] == ["M1", "M2", *names]
    often = [sum(name in names[:4] for name in part) for part in asked]
    assert (max(often), max(map(len, asked))) == (2, 6)
    asked.clear()
    site.captures.doubt()
    monkeypatch.setattr(looks, "CAPTURES_AT_ONCE", 2 * 3 * DAY // 60)
    site.gaps(0.6)
    assert max(sum(name in names[:4] for name in part) for part in asked) == 2


def test_captures_of_the_last_day_are_asked_of_the_store_where_they_are_not_known(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("M1", *range(10))
    site.put("M2", *range(8))
    site.gaps(10.5)
    site.put("M3", *range(3), told=False)
    asked: list[Sequence[str] | None] = []
    captured = site.store.captured

    def counted(profile: str, start: int, end: int, meters: Sequence[str] | None = None) -> Any:
        asked.append(meters)
        return captured(profile, start, end, meters)

    monkeypatch.setattr(site.store, "captured", counted)
    monkeypatch.setattr(lately, "_METERS_AT_ONCE", 2)
    sources: Any = SimpleNamespace(store=site.store, captures=site.captures)
    found = lately.captured_lately(sources, ["M1", "M2", "M3"], site.now)
    assert {meter: len(times) for meter, times in found.items()} == {"M1": 10, "M2": 8, "M3": 3}
    assert asked == [["M3"]]
    sources.captures = None
    assert as_sets(dict(lately.captured_lately(sources, ["M1", "M2", "M3"], site.now))) == (
        as_sets(dict(found))
    )
    assert asked[1:] == [["M1", "M2"], ["M3"]]


def test_meters_that_are_new_are_read_together(site: Site) -> None:
    site.gaps(0.5)
    names = [f"N{number}" for number in range(1500)]
    with writing(site.engine) as session:
        same = {"gateway_id": "gw-1", "state": "discovered", "life_support": False}
        rows = [{"id": name, "first_seen_at": site.clock(), **same} for name in names]
        session.execute(insert(Meter), rows)
    site.put("N1400", 0, 1, 2, 3, 4, 5, 7, 8, told=False)
    before = site.store.reads
    assert site.gaps(9.5) == [("N1400", 6, 6, "open")]
    assert site.store.reads == before + 1


def test_what_another_process_stored_or_removed_is_seen_at_the_look_of_the_day(site: Site) -> None:
    site.put("M1", *range(10), 12)
    assert site.gaps(13.5) == [("M1", 10, 11, "open")]
    site.put("M1", 10, 11, told=False)
    site.put("M2", 5, 6, told=False)
    assert site.gaps(13.6) == [("M1", 10, 11, "open")]
    site.store.erase("M1", T0 + 3 * P, T0 + 5 * P)
    found = site.gaps(13.5 + DAY / P)
    assert found[:2] == [("M1", 10, 11, "closed"), ("M1", 3, 4, "open")]
    assert [gap[1] for gap in found if gap[0] == "M2"] == [7]


def test_what_comes_in_while_the_store_is_read_is_kept(site: Site) -> None:
    captures, answer = Captures(), {"M1": T0 + P * np.arange(8)}

    def ask() -> dict[str, Integers]:
        for rows in (block("M1", 9), block("M1", 3), block("M2", 4)):
            mask = np.ones(1, dtype=bool)
            captures.rows_committed(CommittedRows("", rows, mask, T0 + 9 * P))
        return answer

    captures.keep(LOAD_PROFILE, 2 * DAY)
    captures.reread(LOAD_PROFILE, ["M1", "M2"], 0, ask)
    found = captures.times(LOAD_PROFILE, ["M1", "M2"], T0, T0 + DAY)
    assert {meter: ((times - T0) // P).tolist() for meter, times in found.items()} == {
        "M1": [*range(8), 9],
        "M2": [4],
    }


def test_rows_that_a_failed_write_had_stored_count_though_they_are_not_new(site: Site) -> None:
    """A store that answers too late is written to again, and finds the rows to be there."""
    site.gaps(0.5)
    site.put("M1", 0, 1, told=False)
    site.put("M1", 0, 1)  # accepts none of them
    assert site.gaps(4.5) == [("M1", 2, 3, "open")]


def test_times_far_from_now_take_no_room_and_are_read_when_they_come(site: Site) -> None:
    site.put("M1", *range(10))
    site.gaps(10.5)
    ahead = 4 * DAY // P
    site.put("M1", -20_000, ahead)
    assert site.captures.times(LOAD_PROFILE, ["M1"], 0, 2**33)["M1"].max() < site.now + AHEAD_S
    site.gaps(10.5 + 3 * DAY / P)  # the look of the day
    assert ("M1", 10, ahead - 1, "open") in site.gaps(ahead + 1.2)


def test_what_the_store_has_lost_is_missing_at_once(site: Site) -> None:
    site.put("M1", *range(10))
    assert site.gaps(10.5) == []
    site.store.erase("M1", T0 + 3 * P, T0 + 5 * P)
    assert site.gaps(10.6) == []
    lost = [Fault("2026-09-21.parquet", "cannot be read", T0, T0 + DAY)]
    site.store.maintain = lambda now: lost  # type: ignore[method-assign, assignment]
    tending = Tending(site.store, Alerts(site.engine, site.clock), site.clock, site.captures)
    tending.turn()
    assert site.gaps(10.7) == [("M1", 3, 4, "open")]
    before = site.store.reads
    tending.turn()  # it is still lost, and known
    site.gaps(10.8)
    assert site.store.reads == before


def test_of_what_was_erased_nothing_is_kept(site: Site) -> None:
    site.put("M1", *range(10))
    site.gaps(10.5)
    site.put("M1", 10)
    site.captures.forget("M1", T0 + 2 * P, T0 + 11 * P)
    found = site.captures.times(LOAD_PROFILE, ["M1"], 0, 2**33)["M1"]
    assert ((found - T0) // P).tolist() == [0, 1]
    site.captures.forget("M1")
    assert site.captures.times(LOAD_PROFILE, ["M1"], 0, 2**33) == {}


def test_what_is_stored_while_a_meter_is_erased_is_no_gap(site: Site) -> None:
    site.put("M1", *range(10))
    site.gaps(10.5)
    site.put("M1", 10)  # after the store was erased, before that is told
    site.captures.forget("M1")
    assert site.gaps(11.5) == []
    assert site.captures.times(LOAD_PROFILE, ["M1"], 0, 2**33)["M1"][-1] == T0 + 10 * P


def test_who_asks_for_a_day_is_answered_only_where_all_is_known(site: Site) -> None:
    captures = site.captures
    assert captures.known(LOAD_PROFILE, ["M1"], T0, T0 + DAY) is None
    site.put("M1", *range(10))
    site.gaps(10.5)
    found = captures.known(LOAD_PROFILE, ["M1", "M2"], T0, T0 + DAY)
    assert found is not None
    assert as_sets(found) == as_sets(site.store.captured(LOAD_PROFILE, T0, T0 + DAY))
    assert captures.known(LOAD_PROFILE, ["M1"], T0 - 9 * DAY, T0 + DAY) is None
    assert captures.known(LOAD_PROFILE, ["M1", "M9"], T0, T0 + DAY) is None


def happenings(random: np.random.Generator, period: float) -> Iterator[Callable[[Site], None]]:
    """Yields what happens to a site until a look: captures mostly, late ones, whatever else."""
    meter, at = f"M{random.integers(1, 3)}", int(period)
    match random.integers(0, 12):
        case 0:
            first = int(random.integers(max(0, at - 250), at + 1))
            late = range(first, first + int(random.integers(1, 9)))
            yield lambda site: site.put(meter, *late)
        case 1:
            start = T0 + P * int(random.integers(0, at + 1))
            yield lambda site: site.erase(meter, start, start + 5 * P)
        case 2:
            period_s = int(random.choice([P, 2 * P]))
            yield lambda site: site.announce(meter, period_s)
        case 3:
            yield lambda site: site.give_up(meter)
        case 4:
            yield lambda site: site.captures.doubt()
        case _:
            for each in ("M1", "M2"):
                if random.random() < 0.9:
                    yield lambda site, each=each: site.put(each, at)  # type: ignore[misc]


_OFTEN = [0.15, 0.1, 0.15, 0.15, 0.15, 0.15, 0.1, 0.05]


def test_looks_at_what_is_known_find_what_looks_at_the_store_find(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    sites = [Site(tmp_path / str(follows), follows=follows) for follows in (True, False)]
    period = 0.0
    for _ in range(60):
        period += float(random.choice([0.1, 0.5, 1.0, 1.0, 1.0, 1.0, 3.0, 40.0], p=_OFTEN))
        for happening in list(happenings(random, period)):
            for site in sites:
                happening(site)
        known, read = (site.gaps(period) for site in sites)
        assert known == read
    assert len(known) > 15
    for site in sites:
        site.close()


def test_a_look_goes_through_those_meters_alone_of_which_something_may_have_changed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[set[str]] = []
    findings = fleet.findings

    def noted(cases: Sequence[fleet.Case], whole: dict[str, int]) -> Iterator[fleet.Finding]:
        judged.append({case.meter.id for case in cases})
        return findings(cases, whole)

    monkeypatch.setattr(fleet, "findings", noted)
    site.put("M1", *range(11))
    site.put("M2", *range(11))
    site.gaps(10.5)
    site.gaps(10.6)  # what it read itself was news once
    judged.clear()
    site.gaps(10.7)
    site.put("M2", 11)
    site.gaps(10.8)
    site.gaps(10.9)
    site.gaps(12.1)  # the capture at 11 is due now: M1's is missing
    site.put("M1", 11)
    site.gaps(12.2)
    site.gaps(12.3)  # without a row again
    site.gaps(12.4)
    assert judged == [set(), {"M2"}, set(), {"M1", "M2"}, {"M1"}, {"M1"}, set()]


def test_what_a_look_that_failed_was_told_is_looked_at_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("M1", 0, 1, 2, 3)
    site.put("M2", 2, 3)
    assert site.gaps(4.2) == []
    site.gaps(4.3)

    def locked(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("database is locked"))

    site.put("M2", 0)  # before its first: the one in between is missing now
    with monkeypatch.context() as patch:
        patch.setattr(fleet, "findings", locked)
        with pytest.raises(OperationalError):
            site.gaps(4.4)
    assert site.gaps(4.5) == [("M2", 1, 1, "open")]


def read_at(captures: Captures, since: int, *periods: int) -> None:
    answer = {"M1": T0 + P * np.array(periods, dtype=np.int64)}
    captures.reread(LOAD_PROFILE, ["M1"], since, lambda: answer)


def test_of_a_longer_time_all_is_read_again_though_it_was_as_long_before() -> None:
    """The longest period in use tells how long: a daily meter comes, goes, and comes again."""
    captures = Captures()
    captures.keep(LOAD_PROFILE, 5 * DAY)
    read_at(captures, T0 - 5 * DAY, -400, -100, 0)
    captures.keep(LOAD_PROFILE, 2 * DAY)
    read_at(captures, T0 - 2 * DAY, -400, -100, 0)
    assert captures.unread(LOAD_PROFILE, ["M1"]) == []
    captures.keep(LOAD_PROFILE, 5 * DAY)
    assert captures.unread(LOAD_PROFILE, ["M1"]) == ["M1"]


@pytest.mark.parametrize("all_of_it", [True, False])
def test_what_goes_while_the_store_is_read_is_not_brought_back(all_of_it: bool) -> None:
    captures = Captures()
    captures.keep(LOAD_PROFILE, 2 * DAY)

    def ask() -> dict[str, Integers]:
        captures.doubt() if all_of_it else captures.forget("M1", T0, T0 + 3 * P)
        return {"M1": T0 + P * np.arange(8)}

    captures.reread(LOAD_PROFILE, ["M1"], 0, ask)
    assert captures.unread(LOAD_PROFILE, ["M1"]) == ["M1"]
    assert captures.known(LOAD_PROFILE, ["M1"], T0, T0 + DAY) is None
    read_at(captures, 0, 3, 4)
    assert captures.times(LOAD_PROFILE, ["M1"], 0, 2**33)["M1"].tolist() == [T0 + 3 * P, T0 + 4 * P]


def test_who_asks_for_many_is_not_answered_where_some_are_read_again_meanwhile() -> None:
    class Doubted(Captures):
        def times(self, *asked: Any) -> dict[str, Integers]:
            found = super().times(*asked)
            self.doubt()
            return found

    captures, names = Doubted(), [f"M{number}" for number in range(1500)]
    captures.keep(LOAD_PROFILE, 2 * DAY)
    captures.reread(LOAD_PROFILE, names, 0, dict)
    assert captures.known(LOAD_PROFILE, names, T0, T0 + DAY) is None


def test_a_clock_that_was_ahead_and_is_set_right_leaves_no_gaps(site: Site) -> None:
    site.put("M1", *range(10))
    assert site.gaps(10.5) == []
    site.gaps(10.5 + 30 * DAY / P)
    site.put("M1", 10, 11, 12)  # far in the past by that clock
    with writing(site.engine) as session:
        session.execute(delete(Gap))
    assert site.gaps(13.5) == []


def test_captures_that_nobody_puts_in_place_do_not_pile_up(site: Site) -> None:
    site.gaps(0.5)
    for period in range(300):
        site.captures.rows_committed(
            CommittedRows("", block("M1", period % 90), np.ones(1, dtype=bool), T0)
        )
    assert len(site.captures._arrived) < 100
    assert len(site.captures.times(LOAD_PROFILE, ["M1"], T0, T0 + DAY)["M1"]) == 90


def test_odd_times_that_come_again_and_again_are_kept_once() -> None:
    kept, odd = Kept(), T0 + np.array([0, 7, 31, 900, 1403])
    for _ in range(50):
        kept.take(["M1"], np.zeros(len(odd), dtype=np.int64), odd)
    assert kept.times(["M1"], 0, 2**33)["M1"].tolist() == odd.tolist()
    assert len(kept._loose["M1"]) == len(odd)


def test_a_meter_may_be_named_twice_in_what_came() -> None:
    kept, times = Kept(), T0 + P * np.arange(8)
    kept.take(["M1", "M2", "M1"], np.array([0, 0, 0, 0, 2, 2, 2, 2]), times)
    assert kept.times(["M1"], 0, 2**33)["M1"].tolist() == times.tolist()


def test_captures_that_cannot_be_kept_are_read_from_the_store(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("M1", 0, 1)
    site.gaps(1.5)
    with monkeypatch.context() as patched:
        patched.setattr(Kept, "take", lambda *_: 1 // 0)
        site.put("M1", 2, 3)
        site.captures.flush()
    assert site.gaps(3.5) == []


def test_what_the_store_has_found_again_is_no_gap_any_longer(site: Site) -> None:
    faults = [Fault("2026-09-21.parquet", "cannot be read", T0, T0 + DAY)]
    site.store.maintain = lambda now: list(faults)  # type: ignore[method-assign, assignment]
    tending = Tending(site.store, Alerts(site.engine, site.clock), site.clock, site.captures)
    tending.turn()
    site.put("M1", 0, 1, 4)
    assert site.gaps(5.5) == [("M1", 2, 3, "open")]
    site.put("M1", 2, 3, told=False)
    faults.clear()
    tending.turn()
    assert site.gaps(5.6) == [("M1", 2, 3, "closed")]


def test_who_asks_for_a_day_of_before_is_answered_by_the_store() -> None:
    """A day's service level may be counted anew for as long as its deadline is not over."""
    captures = Captures()
    captures.keep(LOAD_PROFILE, 2 * DAY)
    read_at(captures, T0 - 2 * DAY, -400, -100, 0)
    assert captures.known(LOAD_PROFILE, ["M1"], T0 - DAY, T0) is not None
    assert captures.known(LOAD_PROFILE, ["M1"], T0 - 4 * DAY, T0 - 3 * DAY) is None
    captures.trim(LOAD_PROFILE, T0 - DAY)
    assert captures.known(LOAD_PROFILE, ["M1"], T0 - 2 * DAY, T0 - DAY) is None
    late = CommittedRows("", block("M1", 97), np.ones(1, dtype=bool), T0 + 4 * DAY)
    captures.rows_committed(late)
    assert captures.known(LOAD_PROFILE, ["M1"], T0 + DAY, T0 + 2 * DAY) is None
    assert captures.known(LOAD_PROFILE, ["M1"], T0 + 2 * DAY, T0 + 3 * DAY) is not None
