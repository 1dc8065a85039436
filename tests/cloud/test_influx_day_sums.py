"""Sums over the fleet that are kept in the ledger of InfluxDB: never older than the readings."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import summed_by_hand
from hesper_cloud.stores import influx_server, influx_sums
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_day_sums import DaySums, Kind, Late, Sum, Sums
from hesper_cloud.stores.influx_server import InfluxServer, Precision, Table
from hesper_cloud.stores.port import Block, FleetSeries, Group, Quantity, StoreUnavailable
from hesper_cloud.stores.stepped_sums import DAY_S
from hesper_contracts.batch import BatchId

PROFILE, ENERGY = "1.0.99.1.0.255", "1.0.1.8.0.255"
FIRST = 20_700  # the day 2026-09-04
START = FIRST * DAY_S
DAYS = 9
SPAN = (START, START + DAYS * DAY_S)
LEVELS, GROWTH = Kind(False, PROFILE), Kind(True, PROFILE)
HOURLY = Sum(7, ENERGY, 3600)

Points = list[tuple[str, int, int]]


class Fleet:
    """A store that keeps sums, compared with what its readings sum up to."""

    def __init__(self, connect: Callable[[], InfluxServer], patch: pytest.MonkeyPatch) -> None:
        self._connect = connect
        self._patch = patch
        self._sequence = 0
        self.open()

    def open(self) -> None:
        self.asked = 0
        self.server = server = self._connect()
        query, at_once = server.query, server.query_at_once

        def counted(influxql: str, precision: Precision = "s") -> Iterator[Table]:
            self.asked += self._is_of_sums(influxql)
            return query(influxql, precision)

        def counted_at_once(influxql: str) -> list[Table]:
            self.asked += self._is_of_sums(influxql)
            return at_once(influxql)

        self._patch.setattr(server, "query", counted)
        self._patch.setattr(server, "query_at_once", counted_at_once)
        self.kept = InfluxStore(server)

    @staticmethod
    def _is_of_sums(influxql: str) -> bool:
        return "FROM readings" in influxql and "*" not in influxql

    def close(self) -> None:
        self.kept.close()

    def write(self, points: Points, scaler: int = 0) -> None:
        meters, captured, values = zip(*points, strict=True)
        none = np.zeros(len(points), np.int64)
        names = tuple(sorted(set(meters)))
        block = Block(
            PROFILE, (Quantity(ENERGY, scaler, 30),), names,
            np.array([names.index(meter) for meter in meters]), np.array(captured), none, none,
            SPAN[1], np.array([values]), None,
        )  # fmt: skip
        self._sequence += 1
        batch = BatchId("gw-1", "00" * 8, self._sequence)
        self.kept.write(Group({batch: "ab"}, [block], SPAN[1] * 1000))

    def agree(self, step_s: int = 3600, span: tuple[int, int] = SPAN) -> FleetSeries:
        return summed_by_hand.agree(self.kept, PROFILE, ENERGY, span, step_s)


@pytest.fixture
def fleet(
    influx_database: Callable[[], InfluxServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    made = Fleet(influx_database, monkeypatch)
    made.write(
        [(meter, START + n * DAY_S // 4, 1000 * n)
         for meter in ("A", "B", "C") for n in range(4 * DAYS)]
    )  # fmt: skip
    yield made
    made.close()


@pytest.mark.integration
def test_what_was_summed_up_once_is_not_asked_of_the_readings_again(fleet: Fleet) -> None:
    fleet.agree()
    fleet.asked = 0
    assert sum(fleet.agree().meters) == 3 * 4 * DAYS
    assert fleet.asked == 0
    fleet.agree(span=(START + 7200, SPAN[1] - 3600))
    fleet.agree(span=(START + 7200, START + 10_800))
    assert fleet.asked == 0
    fleet.agree(span=(START + 7201, SPAN[1] - 1800))
    assert fleet.asked == 6  # both ends of each, and what growth begins with
    fleet.asked = 0
    fleet.close()
    fleet.open()
    fleet.agree()
    assert fleet.asked == 1  # its start


@pytest.mark.integration
def test_of_a_day_that_is_asked_for_in_part_what_is_not_kept_is_asked_of_the_readings(
    fleet: Fleet,
) -> None:
    fleet.agree(span=(START + DAY_S, SPAN[1] - DAY_S))
    fleet.asked = 0
    fleet.agree(span=(START + 7200, SPAN[1] - 3600))
    assert fleet.asked == 6  # both ends of each, and what growth begins with
    fleet.agree(span=(START + 7200, START + 10_800))
    assert fleet.asked == 9


@pytest.mark.integration
def test_sums_are_the_same_however_few_rows_come_at_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.write([("A", START + 9, 7), ("B", START + DAY_S + 9, 8), ("D", START + 9, 9)], scaler=2)
    monkeypatch.setattr(influx_server, "_CHUNK_ROWS", 5)  # a meter's rows come in parts
    monkeypatch.setattr(influx_sums, "_ROWS_AT_ONCE", 1)
    for step_s in (900, 3600, 7 * 3600, 2 * DAY_S):
        assert fleet.agree(step_s).times
    assert fleet.agree(DAY_S, (START + DAY_S, START + 2 * DAY_S)).meters == [3]


@pytest.mark.integration
def test_late_rows_are_in_the_sums_at_once_and_after_a_restart(fleet: Fleet) -> None:
    random = np.random.default_rng(11)
    for turn in range(4):
        for step_s in (900, 7 * 3600):
            fleet.agree(step_s)
        late = random.integers(0, DAYS * 24, 3).tolist()
        fleet.write([(f"{'ABC'[n % 3]}", START + n * 3600, 1000 * n + turn) for n in set(late)])
        if turn % 2:
            fleet.close()
            fleet.open()
    fleet.write([("A", START + DAY_S, 5), ("E", START + DAY_S, 5)], scaler=1)  # midnight
    fleet.agree()
    fleet.agree()


@pytest.mark.integration
def test_what_is_erased_is_in_no_sum(fleet: Fleet) -> None:
    before = fleet.agree()
    fleet.kept.erase("A")
    assert fleet.agree().meters != before.meters
    fleet.kept.expire(START + 3 * DAY_S)
    assert min(fleet.agree().times) >= START + 3 * DAY_S


@pytest.mark.integration
def test_what_was_erased_without_an_answer_is_in_no_sum(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = fleet.server.delete

    def without_an_answer(*which: str | int | None) -> None:
        fleet.agree()  # somebody looks before the readings are gone
        delete(*which)  # type: ignore[arg-type]
        raise StoreUnavailable("no answer in 30 s")

    monkeypatch.setattr(fleet.server, "delete", without_an_answer)
    with pytest.raises(StoreUnavailable):
        fleet.kept.erase("A")
    assert set(fleet.agree().meters) == {2}


class Ledger:
    """Takes lines and gives none back."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.answers = True

    def write(self, lines: bytes, _precision: str) -> None:
        self.lines += lines.splitlines()
        if not self.answers:
            raise StoreUnavailable("no answer in 30 s")

    def query(self, _influxql: str, _precision: str = "s") -> Iterator[Table]:
        return iter(())

    def delete(self, *_: object) -> None:
        self.lines.clear()

    def days(self) -> list[int]:
        """Returns the days of all lines, counted from the first."""
        return [int(line.rsplit(b" ", 1)[1]) // DAY_S // 10**9 - FIRST for line in self.lines]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def days(ledger: Ledger) -> DaySums:
    noon = (FIRST + DAYS) * DAY_S + DAY_S // 2
    return DaySums(ledger, keep_days=0, clock=lambda: noon)  # type: ignore[arg-type]


def sums(*days: int) -> dict[int, Sums]:
    return {day: {HOURLY: [(day * DAY_S, 5, 1)]} for day in days}


def late(days: DaySums, *captured: int) -> Late:
    found = days.late(np.array(captured))
    assert found is not None
    return found


def test_a_row_is_late_for_its_day_and_for_growth_that_was_asked_for_with_it(
    days: DaySums,
) -> None:
    midnight = late(days, START + 4 * DAY_S)
    assert midnight.levels == {FIRST + 4}
    assert midnight.growth == set(range(FIRST + 3, FIRST + 12))
    assert late(days, START + 4 * DAY_S + 1).growth == set(range(FIRST + 4, FIRST + 12))


def test_sums_of_rows_that_came_meanwhile_are_not_kept(days: DaySums, ledger: Ledger) -> None:
    days.spoil(PROFILE, late(days, START + 2 * DAY_S + 5))  # its points are on their way
    with days.summing(LEVELS) as levels, days.summing(GROWTH) as growth:
        days.settled()
        days.spoil(PROFILE, late(days, START + 4 * DAY_S))
        days.spoil("0.0.0.0.0.0", late(days, *range(START, START + 9 * DAY_S, DAY_S)))
        days.settled()
        days.keep(levels, sums(*range(FIRST, FIRST + 6)))
        days.keep(growth, sums(*range(FIRST, FIRST + 6)))
    assert ledger.days() == [0, 1, 3, 5, 0, 1]


def test_nothing_is_kept_of_what_is_deleted_meanwhile(days: DaySums, ledger: Ledger) -> None:
    with days.summing(LEVELS) as work:
        days.keep(work, sums(FIRST))
        days.forget()
        days.keep(work, sums(FIRST + 1))
    assert ledger.lines == []


def test_sums_stay_that_readings_have_no_part_in_which_are_deleted(days: DaySums) -> None:
    every = range(FIRST, FIRST + 30)
    for kind in (LEVELS, GROWTH):
        with days.summing(kind) as work:
            days.keep(work, sums(*every), whole=True)
    days.forget(before=START + 2 * DAY_S)
    days.forget(START + 20 * DAY_S, START + 19 * DAY_S)
    for kind in (LEVELS, GROWTH):
        made = [day - FIRST for day in every if days.is_made(kind, day)]
        assert made == [*range(9, 18), *range(27, 30)]


def test_days_are_void_until_the_rows_are_written_however_often_that_is_tried(
    days: DaySums, ledger: Ledger
) -> None:
    with days.summing(LEVELS) as work:
        days.keep(work, sums(FIRST), whole=True)
    rows = late(days, START + 5)
    (first,) = days.spoil(PROFILE, rows)
    (again,) = days.spoil(PROFILE, rows)
    assert number(again, b"void") > number(first, b"void") > number(ledger.lines[0], b"written")
    days.settled()
    assert days.spoil(PROFILE, rows) == []


def test_sums_that_the_server_may_have_taken_late_are_made_void_too(
    days: DaySums, ledger: Ledger
) -> None:
    ledger.answers = False
    with days.summing(LEVELS) as work, pytest.raises(StoreUnavailable):
        days.keep(work, sums(FIRST), whole=True)
    assert not days.is_made(LEVELS, FIRST)
    (void,) = days.spoil(PROFILE, late(days, START + 5))
    assert number(void, b"void") > number(ledger.lines[0], b"written")


def number(line: bytes, name: bytes) -> int:
    return int(line.split(name + b"=")[1].split(b"i")[0])


def test_only_days_that_are_over_and_kept_as_a_whole_count(ledger: Ledger) -> None:
    night = (FIRST + DAYS) * DAY_S
    now = [float(night + 3599)]
    days = DaySums(ledger, keep_days=4, clock=lambda: now[0])  # type: ignore[arg-type]
    assert days.over(SPAN) == range(FIRST + 7, FIRST + 8)
    now[0] += 1
    assert days.over((START + 1, SPAN[1])) == range(FIRST + 7, FIRST + 9)
    assert not days.over((night - 1800, night + 1800))
    assert days.late(np.array([night + 1, night + 900])) is None
