"""Sums over the fleet that upkeep makes on InfluxDB before anybody asks."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hesper_cloud.stores import influx_summing
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_day_sums import Kind, Sum
from hesper_cloud.stores.influx_packing import State
from hesper_cloud.stores.influx_server import InfluxServer, Precision, Table
from hesper_cloud.stores.influx_summing import Totals
from hesper_cloud.stores.port import Block, Group, Integers, Quantity, StoreUnavailable
from hesper_cloud.stores.stepped_sums import DAY_S, STEPS, Rows
from hesper_contracts.batch import BatchId
from summed_by_hand import agree

HOUR_S = 3600
PROFILE = "1.0.99.1.0.255"
ENERGY, VOLTAGE = Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35)
KILO = Quantity("1.0.1.8.0.255", 3, 30)
FIRST = 20_700  # the day 2026-09-04
START = FIRST * DAY_S
DAYS = 6
END = START + DAYS * DAY_S
METERS = ("A", "b,c d", "C", "D")
NOW = END + DAY_S
LEVELS, GROWTH = Kind(False, PROFILE), Kind(True, PROFILE)


class Site:
    """A store with upkeep, and another writer beside it on the same database.

    Attributes:
        asked: What the first asked of its server about readings and packed days.
    """

    def __init__(self, connect: Callable[[], InfluxServer], patch: pytest.MonkeyPatch) -> None:
        self._connect, self._patch = connect, patch
        self._sequence = 0
        self.open()

    def open(self) -> None:
        self.asked: list[str] = []
        server = self._connect()
        query, at_once = server.query, server.query_at_once

        def seen(influxql: str, precision: Precision = "s") -> Iterator[Table]:
            self.asked.append(influxql)
            return query(influxql, precision)

        def seen_at_once(influxql: str) -> list[Table]:
            self.asked.append(influxql)
            return at_once(influxql)

        self._patch.setattr(server, "query", seen)
        self._patch.setattr(server, "query_at_once", seen_at_once)
        self.server = server
        self.store = InfluxStore(server)
        self.plain = InfluxStore(self._connect(), sole_writer=False)

    def close(self) -> None:
        self.store.close()
        self.plain.close()

    def open_again(self) -> None:
        self.close()
        self.open()
        self.store.prepare()

    def write(
        self,
        captured: Integers,
        meters: tuple[str, ...],
        quantities: tuple[Quantity, ...] = (ENERGY, VOLTAGE),
        store: InfluxStore | None = None,
        profile: str = PROFILE,
    ) -> None:
        times = np.tile(captured, len(meters))
        chance = np.random.default_rng(int(times[0]))
        values = chance.integers(-900, 900, (len(quantities), len(times)))
        values[0] += times // 9
        missing = chance.random(values.shape) < 0.1
        block = Block(
            profile, quantities, meters, np.repeat(np.arange(len(meters)), len(captured)), times,
            times // DAY_S % 2 * 128, times // HOUR_S % 3, END, values, missing,
        )  # fmt: skip
        self._sequence += 1
        batch = BatchId("gw-1", "00" * 8, self._sequence)
        (store or self.store).write(Group({batch: "ab"}, [block], END * 1000))

    def agree(self, steps: tuple[int, ...] = STEPS) -> int:
        """Compares every sum; returns how many queries of readings were for sums."""
        self.asked.clear()
        for quantity in (ENERGY, VOLTAGE):
            for step_s in steps:
                agree(self.store, PROFILE, quantity.logical_name, (START, END), step_s)
        return sum("FROM readings" in each and "*" not in each for each in self.asked)

    def made(self, kind: Kind) -> list[int]:
        return [day for day in range(DAYS) if self.store._days.is_made(kind, FIRST + day)]  # type: ignore[union-attr]


@pytest.fixture
def site(
    influx_database: Callable[[], InfluxServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    made = Site(influx_database, monkeypatch)
    made.write(np.arange(START, END, 1800), METERS[:3])
    made.write(np.arange(START, END, 4 * HOUR_S) - 60, ("few",))
    made.write(np.arange(START + 600, END, HOUR_S), ("other", "C"), (KILO,))
    yield made
    made.close()


@pytest.mark.integration
def test_what_upkeep_has_summed_up_is_not_asked_of_the_readings(site: Site) -> None:
    assert site.store.maintain(NOW) == []
    assert site.agree() == 0
    site.open_again()
    assert site.agree() == 0
    assert site.agree((2 * HOUR_S,)) > 0  # no usual step: kept when it was asked for
    assert site.agree((2 * HOUR_S,)) == 0


@pytest.mark.integration
def test_a_profile_is_summed_up_by_its_own_quantities(site: Site) -> None:
    daily, other = "1.0.99.2.0.255", Quantity("1.0.2.8.0.255", 0, 30)
    site.write(np.arange(START, END, DAY_S), METERS, (ENERGY, other), profile=daily)
    site.store.maintain(NOW)
    asked = [each for each in site.asked if "FROM packed" in each and other.logical_name in each]
    assert asked
    assert all(daily in each for each in asked)
    assert site.agree() == 0
    assert agree(site.store, daily, other.logical_name, (START, END), DAY_S).times


@pytest.mark.integration
def test_days_are_summed_up_an_hour_after_their_end_packed_or_not(site: Site) -> None:
    site.store.maintain(END + HOUR_S - 1)
    assert site.made(LEVELS) == site.made(GROWTH) == list(range(DAYS - 1))
    assert site.agree() > 0
    site.store.maintain(END + HOUR_S)
    assert site.made(LEVELS) == site.made(GROWTH) == list(range(DAYS))
    assert site.agree() == 0
    site.asked.clear()
    site.store.maintain(NOW)
    assert not any("FROM packed" in each and "captured_at" in each for each in site.asked)


@pytest.mark.integration
def test_days_that_are_to_be_packed_come_afterwards(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    packing = site.store._packing
    site.store.prepare()
    for day in (0, 1, 3, 4, 5):
        monkeypatch.setitem(packing._states, (PROFILE, FIRST + day), State.DONE)  # type: ignore[union-attr]
    monkeypatch.setattr(packing, "pack", lambda *_: None)
    site.store.maintain(NOW)
    assert site.made(LEVELS) == [0, 1, 3, 4, 5]
    assert site.made(GROWTH) == [1, 4, 5]  # of the day before the first there are readings, too
    assert site.agree() > 0


@pytest.mark.integration
def test_late_rows_are_in_the_sums_at_once_and_summed_up_an_hour_later(site: Site) -> None:
    site.store.maintain(NOW)
    site.write(np.array([START + 2 * DAY_S, START + 3 * DAY_S - 7]), ("b,c d", "new"))
    assert site.made(LEVELS) == [0, 1, 3, 4, 5]
    assert site.made(GROWTH) == [0]
    site.store.maintain(NOW + HOUR_S - 1)
    assert site.made(GROWTH) == [0]
    assert site.agree() > 0
    site.store.maintain(NOW + HOUR_S)
    assert site.made(LEVELS) == site.made(GROWTH) == list(range(DAYS))
    assert site.agree() == 0
    site.open_again()
    assert site.agree() == 0


@pytest.mark.integration
def test_rows_that_come_while_a_day_is_summed_up_are_not_left_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, written = Totals.add, list[bool]()

    def then_written(self: Totals, rows: dict[tuple[int, str], Rows]) -> None:
        add(self, rows)
        if not written:
            written.append(True)
            site.write(np.array([END - HOUR_S + 5]), ("new",))

    monkeypatch.setattr(Totals, "add", then_written)
    site.store.maintain(NOW)
    assert site.made(LEVELS) == list(range(DAYS - 1))
    site.agree()
    site.store.maintain(NOW + HOUR_S)
    assert site.made(LEVELS) == list(range(DAYS))
    assert site.agree() == 0


class Ticking:
    """A clock that is some time later whenever it is looked at, and far ahead of the others."""

    def __init__(self) -> None:
        self._at = 1e9
        self.slept = 0.0

    def monotonic(self) -> float:
        self._at += 0.3
        return self._at

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.mark.integration
def test_a_turn_stops_at_its_limit_and_the_next_one_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ticking()
    monkeypatch.setattr(influx_summing, "_METERS_AT_ONCE", 1)
    monkeypatch.setattr(influx_summing, "time", clock)
    turns = portions = 0
    while len(site.made(LEVELS)) < DAYS or len(site.made(GROWTH)) < DAYS:
        site.asked.clear()
        site.store.maintain(NOW)
        asked = sum("FROM packed" in each and "captured_at" in each for each in site.asked)
        assert asked <= 1
        turns, portions = turns + 1, portions + asked
    assert portions == 2 * DAYS * 5  # every meter once for each day
    assert clock.slept == pytest.approx(0.3 * turns)  # as long as it has worked
    assert site.agree() == 0


@pytest.mark.integration
def test_packing_that_fails_does_not_keep_days_from_being_summed_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.store.maintain(NOW)
    site.store.erase("nobody")

    def fails(*_: object) -> None:
        raise StoreUnavailable("out of memory")

    monkeypatch.setattr(site.store._packing, "pack", fails)
    with pytest.raises(StoreUnavailable):
        site.store.maintain(NOW + HOUR_S)
    assert site.made(LEVELS) == list(range(DAYS))


@pytest.mark.integration
def test_a_day_that_the_server_does_not_give_is_passed_over_for_an_hour(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = site.server.query_at_once

    def distressed(influxql: str) -> list[Table]:
        if "FROM packed" in influxql and f"time <= {END - 1}s" in influxql:
            raise StoreUnavailable("InfluxDB cannot be read: timed out")
        return ask(influxql)

    monkeypatch.setattr(site.server, "query_at_once", distressed)
    for _ in (LEVELS, GROWTH):
        with pytest.raises(StoreUnavailable):
            site.store.maintain(NOW)
    site.store.maintain(NOW)
    assert site.made(LEVELS) == site.made(GROWTH) == list(range(DAYS - 1))
    monkeypatch.setattr(site.server, "query_at_once", ask)
    site.store.maintain(NOW + HOUR_S)
    assert site.made(LEVELS) == site.made(GROWTH) == list(range(DAYS))


@pytest.mark.integration
def test_nothing_is_summed_up_while_the_server_may_be_at_a_write_that_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.store.maintain(END)
    monkeypatch.setattr(site.store._packing, "pack", lambda *_: None)
    site.store.erase("nobody")
    monkeypatch.setattr(site.store._writer, "is_certain", lambda: False)
    site.store.maintain(NOW)
    assert site.made(LEVELS) == []
    monkeypatch.undo()
    site.store.maintain(NOW)
    assert site.made(LEVELS) == list(range(DAYS))


@pytest.mark.integration
def test_no_sum_outlives_a_second_writer(site: Site) -> None:
    site.store.maintain(NOW)
    site.write(np.array([START + DAY_S + 60]), ("C",), store=site.plain)
    site.open_again()
    assert site.made(LEVELS) == []
    assert site.agree() > 0
    site.plain.maintain(NOW)
    site.open_again()
    assert site.made(LEVELS) == []


@pytest.mark.integration
def test_readings_that_go_take_the_sums_that_they_have_a_part_in(site: Site) -> None:
    site.store.maintain(NOW)
    site.store.erase("C", START + 4 * DAY_S + 5, START + 4 * DAY_S + DAY_S // 2)
    assert site.made(LEVELS) == site.made(GROWTH) == [0, 1, 2]
    site.agree()
    site.store.erase("b,c d")
    assert site.made(LEVELS) == []
    site.store.maintain(NOW + HOUR_S)
    assert site.made(LEVELS) == list(range(DAYS))
    assert site.agree() == 0


def test_values_are_summed_up_exactly_however_large() -> None:
    key = (ENERGY.logical_name, 30)
    levels, growth = Totals(LEVELS, FIRST, {key: 3}), Totals(GROWTH, FIRST, {key: 3})
    for totals in (levels, growth):
        for values in ((-(2**63), 2**63 - 1), (2**62, 2**63 - 1), (5, 6)):
            rows = Rows(*map(np.array, ((0, 0), (START + 5, START + 6), values)))
            totals.add({key: rows})
    last, grown = 2**64 + 4, 2**64 - 1 + 2**62 - 1 + 1
    for totals, total in ((levels, last), (growth, grown)):
        found = totals.sums()
        assert [found[Sum(*key, step_s)] for step_s in STEPS] == [(3, [(START, total, 3)])] * 4
