"""What every store promises, held against each adapter; InfluxDB is a real server."""

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import summed_by_hand
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.influx_v2 import InfluxV2
from hesper_cloud.stores.port import LATEST, Block, Group, Reading, ReadingStore, Written
from hesper_contracts import columns
from hesper_contracts.batch import BatchId
from hesper_contracts.quality import Quality
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section

T0 = 1_790_000_100  # a multiple of 900 s
PROFILE = "1.0.99.1.0.255"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)
EPOCH = "00112233445566ff"
DIGEST = "ab" * 32

Rows = dict[str, list[tuple[int, int | None]]]  # meter → (captured_at, energy)
OpenStore = Callable[[], ReadingStore]


STORES = ["duckdb", "influx", "influx-shared"]
if os.environ.get("HESPER_TEST_INFLUX_URL") or Path("/var/run/docker.sock").exists():
    STORES.append("influx-2")  # InfluxDB 2.x or 3.x


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the same store, anew each time; what was opened is closed at the end."""
    opened: list[ReadingStore] = []
    database = f"test-{secrets.token_hex(4)}"

    def open_again() -> ReadingStore:
        for store in opened:
            store.close()
        opened[:] = [make()]
        return opened[0]

    def make() -> ReadingStore:
        if request.param == "duckdb":
            return DuckDbStore(tmp_path / "readings.duckdb")
        if request.param == "influx-2":
            url, organisation, token = request.getfixturevalue("influx2_access")
            return InfluxStore(
                InfluxV2(url, database, organisation, lambda: token), feed_behind_s=0
            )
        server = InfluxV1(request.getfixturevalue("influx_url"), database)
        return InfluxStore(server, sole_writer=request.param == "influx", feed_behind_s=0)

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ReadingStore:
    return open_store()


def block(rows: Rows, quantity: Quantity = ENERGY, status: int = 0) -> Block:
    meters = [
        MeterRows(
            meter,
            [at for at, _ in points],
            [status] * len(points),
            [0] * len(points),
            [[value for _, value in points]],
        )
        for meter, points in rows.items()
    ]
    section = Section(LOAD_PROFILE, T0 + 10, (quantity,), meters)
    return block_of(columns.from_sections([section])[0])


def put(store: ReadingStore, *blocks: Block, sequence: int = 1, at_ms: int = T0 * 1000) -> Written:
    batch = BatchId("gw-1", EPOCH, sequence)
    return store.write(Group({batch: DIGEST}, blocks, at_ms))


def counts(written: Written) -> tuple[int, int, int]:
    return written.new, written.duplicate, written.conflicting


def exported(store: ReadingStore) -> list[tuple[str, int, int | None, int]]:
    rows = store.export(0, T0 + 10**8)
    return sorted((r.meter, r.captured_at, r.values[0].value, r.revision) for r in rows)


def test_a_group_is_stored_and_given_back_exactly(store: ReadingStore) -> None:
    values = MeterRows("M1", [T0, T0 + 900], [0x80, 0], [1, 0], [[2**62, None], [2301, -5]])
    section = Section(LOAD_PROFILE, T0 + 910, (ENERGY, VOLTAGE), [values])
    written = put(store, block_of(columns.from_sections([section])[0]), at_ms=(T0 + 911) * 1000 + 7)
    assert counts(written) == (2, 0, 0)
    first, second = sorted(store.export(T0, T0 + 901), key=lambda reading: reading.captured_at)
    assert first == Reading(
        "M1", PROFILE, T0, 0x80, 1, T0 + 910, (T0 + 911) * 1000 + 7,
        (("1.0.1.8.0.255", 2**62, 0, 30), ("1.0.32.7.0.255", 2301, -1, 35)),
    )  # fmt: skip
    assert [value.value for value in second.values] == [None, -5]


def test_redelivery_stores_nothing_twice(store: ReadingStore) -> None:
    rows = {"M1": [(T0, 10), (T0 + 900, 11)], "M2": [(T0, 7)]}
    assert counts(put(store, block(rows))) == (3, 0, 0)
    assert counts(put(store, block(rows))) == (0, 3, 0)
    assert len(exported(store)) == 3


def test_an_overlapping_read_adds_only_what_is_new(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0 + 900 * k, k) for k in range(4)]}))
    written = put(store, block({"M1": [(T0 + 900 * k, k) for k in range(2, 6)]}), sequence=2)
    assert counts(written) == (2, 2, 0)
    assert written.accepted[0].tolist() == [False, False, True, True]
    assert [row[2] for row in exported(store)] == [0, 1, 2, 3, 4, 5]


def test_a_late_read_fills_the_hole_before_newer_rows(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0, 1), (T0 + 2700, 4)]}))
    assert counts(put(store, block({"M1": [(T0 + 900, 2), (T0 + 1800, 3)]}), sequence=2)) == (
        2,
        0,
        0,
    )
    assert [row[2] for row in exported(store)] == [1, 2, 3, 4]


def test_old_readings_are_let_go_unless_some_came_in_meanwhile(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2)], "M2": [(T0, 3)]}))
    store.watch()
    put(store, block({"M1": [(T0 + 1800, 4)]}), sequence=2)
    assert store.let_go(T0 + 900)
    assert [row[1:3] for row in exported(store)] == [(T0 + 900, 2), (T0 + 1800, 4)]
    put(store, block({"M1": [(T0 + 1000, 5)]}), sequence=3)
    assert not store.let_go(T0 + 1800)
    assert len(exported(store)) == 3
    store.watch()
    assert store.let_go(T0 + 1800)
    assert [row[1] for row in exported(store)] == [T0 + 1800]


def test_one_identity_twice_within_a_group_is_one_row(store: ReadingStore) -> None:
    written = put(store, block({"M1": [(T0, 5)]}), block({"M1": [(T0, 5)], "M2": [(T0, 6)]}))
    assert counts(written) == (2, 1, 0)
    assert [mask.tolist() for mask in written.accepted] == [[True], [False, True]]


def test_the_same_identity_with_another_value_is_kept_and_flagged(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0, 5)]}))
    assert counts(put(store, block({"M1": [(T0, 6)]}), sequence=2, at_ms=T0 * 1000 + 1)) == (
        0,
        0,
        1,
    )
    assert counts(put(store, block({"M1": [(T0, 6)]}), sequence=3, at_ms=T0 * 1000 + 2)) == (
        0,
        1,
        0,
    )
    assert exported(store) == [("M1", T0, 5, 0), ("M1", T0, 6, 1)]
    first = next(r for r in store.export(T0, T0 + 1) if r.revision == 0)
    assert first.quality & Quality.CONFLICTING


def test_conflicts_within_one_group_are_kept_too(store: ReadingStore) -> None:
    written = put(
        store, block({"M1": [(T0, 5)]}), block({"M1": [(T0, 6)]}), block({"M1": [(T0, 6)]}),
        block({"M1": [(T0, 7)]}, VOLTAGE),
    )  # fmt: skip
    assert counts(written) == (1, 1, 2)
    assert sorted(row[2] for row in exported(store) if row[2] is not None) == [5, 6, 7]


def test_many_versions_of_one_time_are_kept_and_each_is_known_again(store: ReadingStore) -> None:
    times = 300
    put(store, block({"M1": [(T0, value) for value in range(times)]}))
    again = put(store, block({"M1": [(T0, value) for value in range(times + 1)]}), sequence=2)
    assert counts(again) == (0, times, 1)
    assert sorted(row[2] or 0 for row in exported(store)) == list(range(times + 1))


def test_the_last_second_that_a_store_holds_is_like_any_other(store: ReadingStore) -> None:
    rows = block({"M1": [(LATEST, 5)]})
    assert counts(put(store, rows, rows)) == (1, 1, 0)
    assert counts(put(store, rows, sequence=2)) == (0, 1, 0)
    put(store, block({"M1": [(T0, 4)]}), sequence=3)
    assert store.extent() == (T0, LATEST + 1)
    assert len(list(store.export(0, LATEST + 1))) == 2
    assert len(store.readings("M1", None, 0, LATEST + 1, 10)) == 2
    assert told(store, "", 10)[0] == [(LATEST - T0, 5), (0, 4)]


def test_a_clock_that_is_years_off_changes_nothing_of_what_is_told(store: ReadingStore) -> None:
    off_s = 26 * 365 * 86_400
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2)], "M2": [(T0, 3)]}))
    mixed = block({"M1": [(T0 - off_s, 9), (T0 + 900, 2), (T0 + 1800, 4)], "M2": [(T0, 5)]})
    assert counts(put(store, mixed, sequence=2, at_ms=T0 * 1000 + 1)) == (2, 1, 1)
    assert counts(put(store, mixed, sequence=3, at_ms=T0 * 1000 + 2)) == (0, 4, 0)
    assert sorted(told(store, "", 100)[0]) == [
        (-off_s, 9), (0, 1), (0, 3), (0, 5), (900, 2), (1800, 4)
    ]  # fmt: skip


def test_an_empty_column_more_or_less_is_no_conflict(store: ReadingStore) -> None:
    """Gateways leave out columns that are empty in all rows of one chunk."""
    full = Section(
        LOAD_PROFILE, T0, (ENERGY, VOLTAGE),
        [MeterRows("M1", [T0, T0 + 900], [0, 0], [0, 0], [[5, 6], [None, 2300]])],
    )  # fmt: skip
    put(store, block({"M1": [(T0, 5)]}))
    written = put(store, block_of(columns.from_sections([full])[0]), sequence=2)
    assert counts(written) == (1, 1, 0)
    assert counts(put(store, block({"M1": [(T0 + 900, 6)]}), sequence=3)) == (0, 0, 1)
    assert counts(put(store, block({"M1": [(T0, 5)]}), sequence=4)) == (0, 1, 0)


def test_the_clock_status_belongs_to_the_identity(store: ReadingStore) -> None:
    """The hour that daylight saving repeats has two readings of one time."""
    put(store, block({"M1": [(T0, 5)]}, status=0x80), block({"M1": [(T0, 9)]}))
    assert len(exported(store)) == 2


def test_batch_ids_are_known_after_the_write_and_after_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    put(store, block({"M1": [(T0, 5)]}), sequence=7)
    ids = [BatchId("gw-1", EPOCH, n) for n in (6, 7)] + [BatchId("gw-2", EPOCH, 7)]
    assert store.known(ids) == {ids[1]: DIGEST}
    assert open_store().known(ids) == {ids[1]: DIGEST}


def test_a_restart_still_knows_rows_and_latest_values(open_store: OpenStore) -> None:
    put(
        open_store(),
        block({"M1": [(T0, 1), (T0 + 900, 2)], "M2": [(T0, 3)]}),
        at_ms=(T0 + 20) * 1000,
    )
    store = open_store()
    assert counts(put(store, block({"M1": [(T0, 1), (T0 + 900, 2)]}), sequence=2)) == (0, 2, 0)
    latest = {
        (found.meters[found.meter_index[row]], int(found.captured_at[row]), int(stored_at[row]))
        for found, stored_at in store.latest_rows()
        for row in range(found.row_count)
    }
    assert latest == {("M1", T0 + 900, T0 + 20), ("M2", T0, T0 + 20)}


def test_a_snapshot_of_twenty_registers_keeps_them_all(store: ReadingStore) -> None:
    names = tuple(Quantity(bytes((1, 0, c, 7, 0, 255)), -1, 33) for c in range(1, 21))
    rows = MeterRows("M1", [T0, T0 + 60], [0, 0], [0, 0], [[c, c * 10] for c in range(20)])
    found = columns.from_sections([Section(LOAD_PROFILE, T0 + 61, names, [rows])])[0]
    put(store, block_of(found))
    put(store, block_of(found), sequence=2)
    (reading,) = store.export(T0 + 60, T0 + 61)
    assert len(reading.values) == 20
    assert {v.logical_name: v.value for v in reading.values}["1.0.20.7.0.255"] == 190
    assert store.series("M1", PROFILE, "1.0.20.7.0.255", T0, T0 + 99, None).values == [19, 190]
    ((latest, _),) = store.latest_rows()
    names = [quantity.logical_name for quantity in latest.quantities]
    assert dict(zip(names, latest.values[:, 0], strict=True))["1.0.20.7.0.255"] == 190


def test_series_gives_one_curve_in_one_scaler_and_thins_to_steps(store: ReadingStore) -> None:
    kilo = Quantity(ENERGY.logical_name, 3, 30)
    put(store, block({"M1": [(T0, 1000), (T0 + 900, 2000)]}), block({"M1": [(T0 + 1800, 3)]}, kilo))
    curve = store.series("M1", PROFILE, "1.0.1.8.0.255", T0, T0 + 2700, None)
    assert (curve.times, curve.values) == ([T0, T0 + 900, T0 + 1800], [1000, 2000, 3000])
    assert (curve.scaler, curve.unit, curve.quality) == (0, 30, [0, 0, 0])
    coarse = store.series("M1", PROFILE, "1.0.1.8.0.255", T0, T0 + 2700, 1800)
    assert coarse.values[-1] == 3000
    assert all(time % 1800 == 0 for time in coarse.times)
    assert store.series("nobody", PROFILE, "1.0.1.8.0.255", T0, T0 + 99, None).times == []


def test_fleet_sums(store: ReadingStore) -> None:
    start = T0 - T0 % 3600
    rows = {m: [(start + 900 * k, 100 * k * n) for k in range(9)] for n, m in ((1, "A"), (2, "B"))}
    put(store, block(rows))
    levels = store.fleet_series(PROFILE, "1.0.1.8.0.255", start, start + 7200, 3600)
    assert (levels.times, levels.values) == ([start, start + 3600], [900, 2100])
    assert (levels.meters, levels.unit) == ([2, 2], 30)
    growth = store.fleet_increase(PROFILE, "1.0.1.8.0.255", start, start + 7200, 3600)
    assert (growth.times, growth.values) == ([start, start + 3600], [1200, 1200])


def test_of_a_step_that_a_range_cuts_what_lies_in_the_range_is_summed(store: ReadingStore) -> None:
    start = T0 - T0 % 3600
    rows = {m: [(start + 900 * k, 100 * k * n) for k in range(12)] for n, m in ((1, "A"), (2, "B"))}
    put(store, block(rows))
    for step_s in (900, 3600, 86_400):
        span = (start + 1000, start + 8000)
        assert summed_by_hand.agree(store, PROFILE, "1.0.1.8.0.255", span, step_s).times


def test_of_a_quantity_that_a_profile_has_twice_the_first_counts(store: ReadingStore) -> None:
    kilo = Quantity(ENERGY.logical_name, 3, 30)
    twice = Section(
        LOAD_PROFILE, T0, (ENERGY, kilo),
        [MeterRows("M1", [T0, T0 + 900], [0, 0], [0, 0], [[1000, 2000], [7, 8]])],
    )  # fmt: skip
    put(store, block_of(columns.from_sections([twice])[0]))
    span = (T0, T0 + 1800)
    curve = store.series("M1", PROFILE, "1.0.1.8.0.255", *span, None)
    assert (curve.values, curve.scaler) == ([1000, 2000], 0)
    levels = store.fleet_series(PROFILE, "1.0.1.8.0.255", *span, 900)
    assert (levels.values, levels.scaler) == ([1000, 2000], 0)


def test_a_wrong_scaler_changes_no_other_value_of_a_curve(store: ReadingStore) -> None:
    stray = Quantity(ENERGY.logical_name, -18, 30)
    put(store, block({"M1": [(T0, 1000)]}), block({"M1": [(T0 + 900, 5)]}, stray))
    put(store, block({"M1": [(T0 + 1800, 3000)]}), sequence=2)
    curve = store.series("M1", PROFILE, "1.0.1.8.0.255", T0, T0 + 2700, None)
    assert (curve.times, curve.values, curve.scaler) == ([T0, T0 + 1800], [1000, 3000], 0)


def test_a_meter_counts_once_in_a_sum_when_its_quantities_change(store: ReadingStore) -> None:
    start = T0 - T0 % 86_400
    kilo = Quantity(ENERGY.logical_name, 3, 30)
    before = {m: [(start, 1000), (start + 900, 2000)] for m in ("A", "B")}
    put(store, block(before), block({"A": [(start + 1800, 3), (start + 2700, 5)]}, kilo))
    for step_s in (900, 3600, 86_400):
        asked = (PROFILE, "1.0.1.8.0.255", start, start + 3600, step_s)
        assert summed_by_hand.agree(store, *asked[:2], asked[2:4], step_s).meters[0] == 2
    found = store.fleet_series(*asked)
    assert (found.values, found.meters) == ([7000], [2])
    grown = store.fleet_increase(*asked)
    assert (grown.values, grown.meters) == ([5000], [2])


def test_sums_are_exact_beyond_64_bits(store: ReadingStore) -> None:
    start = T0 - T0 % 86_400
    kilo = Quantity(ENERGY.logical_name, 3, 30)
    huge = {m: [(start, -(2**63)), (start + 900, 2**63 - 1)] for m in ("B", "C")}
    put(store, block({"A": [(start, 5), (start + 900, 7)]}), block(huge, kilo))
    for step_s in (900, 86_400):
        span = (start, start + 3600)
        summed_by_hand.agree(store, PROFILE, "1.0.1.8.0.255", span, step_s)
    levels = store.fleet_series(PROFILE, "1.0.1.8.0.255", *span, 86_400)
    assert levels.values == [2 * (2**63 - 1) * 1000 + 7]


def test_one_odd_meter_changes_nobody_elses_sum(store: ReadingStore) -> None:
    start = T0 - T0 % 3600
    put(store, block({"A": [(start, 100)], "B": [(start, 200)]}))
    for number, (scaler, unit) in enumerate(((-100, 30), (120, 30), (0, 35))):
        odd = Quantity(ENERGY.logical_name, scaler, unit)
        put(store, block({f"odd{number}": [(start, 7)]}, odd), sequence=number + 2)
    found = store.fleet_series(PROFILE, "1.0.1.8.0.255", start, start + 3600, 3600)
    assert (found.values, found.meters, found.scaler, found.unit) == ([300], [2], 0, 30)


def test_capture_times_feed_the_gap_ledger(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2)], "M2": [(T0 + 900, 3)]}))
    found = store.captured(PROFILE, T0, T0 + 901)
    assert {meter: times.tolist() for meter, times in found.items()} == {
        "M1": [T0, T0 + 900],
        "M2": [T0 + 900],
    }
    assert store.captured_times("M1", PROFILE, T0 + 1, T0 + 901).tolist() == [T0 + 900]
    assert store.captured("9.9.9.9.9.9", T0, T0 + 9) == {}


def test_capture_times_of_some_meters(store: ReadingStore) -> None:
    rows = {f"M{n}": [(T0 + 900 * k, n) for k in range(n % 3)] for n in range(250)}
    put(store, block({meter: of for meter, of in rows.items() if of}))
    some = [f"M{n}" for n in range(249, 30, -1)] + ["nobody"]
    found = store.captured(PROFILE, T0, T0 + 901, some)
    assert {meter: times.tolist() for meter, times in found.items()} == {
        meter: [at for at, _ in rows[meter]] for meter in some[:-1] if rows[meter]
    }
    assert store.captured(PROFILE, T0, T0 + 901, ["nobody"]) == {}
    assert store.captured(PROFILE, T0, T0 + 901, []) == {}


def test_when_captures_of_some_meters_were_stored(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0 + 900, 2)], "M2": [(T0, 5)]}), at_ms=(T0 + 1000) * 1000)
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2)]}), sequence=2, at_ms=(T0 + 2000) * 1000)
    found = store.arrivals(PROFILE, T0, T0 + 901, ["M1", "nobody"])
    assert {meter: np.stack(each).tolist() for meter, each in found.items()} == {
        "M1": [[T0, T0 + 900], [T0 + 2000, T0 + 1000]],
    }
    assert store.arrivals(PROFILE, T0 + 901, T0 + 999, ["M1"]) == {}
    assert store.arrivals("9.9.9.9.9.9", T0, T0 + 901, ["M1"]) == {}
    assert store.arrivals(PROFILE, T0, T0 + 901, []) == {}


def test_a_meters_readings_come_newest_first_with_revisions(store: ReadingStore) -> None:
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2)], "M2": [(T0, 9)]}))
    put(store, block({"M1": [(T0, 4)]}), sequence=2)
    found = store.readings("M1", None, T0, T0 + 901, 10)
    assert [(r.captured_at, r.revision) for r in found] == [(T0 + 900, 0), (T0, 0), (T0, 1)]
    assert len(store.readings("M1", PROFILE, T0, T0 + 901, 1)) == 1
    assert store.readings("M1", "1.1.1.1.1.1", T0, T0 + 901, 10) == []


def test_odd_names_and_extreme_values_survive(store: ReadingStore) -> None:
    odd = 'a,b=c"d\\'
    put(store, block({odd: [(T0, -(2**63)), (T0 + 1, 2**63 - 1)], "x'y": [(T0, 0)]}))
    assert exported(store) == [
        (odd, T0, -(2**63), 0), (odd, T0 + 1, 2**63 - 1, 0), ("x'y", T0, 0, 0)
    ]  # fmt: skip
    assert store.captured_times(odd, PROFILE, T0, T0 + 2).tolist() == [T0, T0 + 1]
    assert store.series("x'y", PROFILE, "1.0.1.8.0.255", T0, T0 + 1, None).values == [0]


def test_random_overlaps_leave_each_identity_once(store: ReadingStore) -> None:
    random = np.random.default_rng(7)
    for sequence in range(30):
        first = int(random.integers(0, 40))
        meters = {f"M{m}": [(T0 + 900 * k, k * 3 + m) for k in range(first, first + 10)]
                  for m in random.integers(0, 5, 3).tolist()}  # fmt: skip
        put(store, block(meters), block(meters), sequence=sequence)
    rows = exported(store)
    assert len(rows) == len({row[:2] for row in rows})
    assert all(value == (at - T0) // 900 * 3 + int(meter[1:]) for meter, at, value, _ in rows)


@pytest.mark.parametrize(
    "cursor", ["x", "1", "-1.0", " 1.0", "9" * 50 + ".0", "9" * 50 + ".0.0.0.0.0", "1.2.3.4.5.6.7"]
)
def test_what_is_no_cursor_is_refused(store: ReadingStore, cursor: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        store.changes(cursor, 3)


def told(store: ReadingStore, cursor: str, limit: int) -> tuple[list[tuple[int, int | None]], str]:
    page = store.changes(cursor, limit)
    return [(r.captured_at - T0, r.values[0].value) for r in page.readings], page.cursor


def test_changes_come_in_the_order_of_commits(open_store: OpenStore) -> None:
    store = open_store()
    put(store, block({"M1": [(T0, 1), (T0 + 2700, 4)]}))
    put(store, block({"M1": [(T0 + 900, 2), (T0 + 1800, 3)]}), sequence=2, at_ms=T0 * 1000 + 1)
    rows, cursor = told(store, "", 3)
    assert rows == [(0, 1), (2700, 4), (900, 2)]
    rows, cursor = told(store, cursor, 3)
    assert rows == [(1800, 3)]
    assert told(store, cursor, 3)[0] == []
    put(store, block({"M1": [(T0, 1), (T0 + 900, 7)]}), sequence=3, at_ms=T0 * 1000 + 2)
    store = open_store()
    put(store, block({"M1": [(T0 - 900, 0)]}), sequence=4, at_ms=T0 * 1000 + 3)
    rows, cursor = told(store, cursor, 10)
    assert rows == [(900, 7), (-900, 0)]  # a conflicting version, then a late reading
    with pytest.raises(ValueError):
        store.changes("yesterday", 1)


def test_readings_of_several_layouts_in_one_group_are_told_once_each(store: ReadingStore) -> None:
    parts = [
        block({f"M{n}": [(T0, n), (T0 + 900 * n, n)]}, Quantity(ENERGY.logical_name, n, 30))
        for n in range(1, 5)
    ]
    put(store, *parts)
    assert sorted(told(store, "", 100)[0]) == [
        (0, 1), (0, 2), (0, 3), (0, 4), (900, 1), (1800, 2), (2700, 3), (3600, 4),
    ]  # fmt: skip


def test_conflicts_of_one_millisecond_are_told_once_each_wherever_a_page_ends(
    store: ReadingStore,
) -> None:
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2), (T0 + 1800, 3)]}))
    _, cursor = told(store, "", 10)
    put(store, block({"M1": [(T0 + 900, 5), (T0 + 1800, 6)]}), sequence=2)
    first, cursor = told(store, cursor, 1)
    put(store, block({"M1": [(T0, 4), (T0 + 900, 7)]}), sequence=3)  # in the same millisecond
    assert first == [(900, 5)]
    rest = []
    while (page := told(store, cursor, 1))[0]:
        rest += page[0]
        cursor = page[1]
    assert rest == [(1800, 6), (0, 4), (900, 7)]


def test_rows_come_as_columns_by_meter_and_time_whatever_their_layout(store: ReadingStore) -> None:
    put(store, block({"M2": [(T0 + 900, 5), (T0, 4)], "M1": [(T0 + 900, None)]}))
    put(store, block({"M1": [(T0, 2301)], "M3": [(T0, 9)]}, VOLTAGE), sequence=2)
    put(store, block({"M1": [(T0, 6)]}), sequence=3)  # in conflict: not a first version
    (part,) = store.rows(PROFILE, T0, T0 + 901, ["M1", "M2", "nobody"])
    assert [each.logical_name for each in part.quantities] == ["1.0.1.8.0.255", "1.0.32.7.0.255"]
    assert (part.captured_at - T0).tolist() == [0, 900, 0, 900]
    rows = [
        [part.meters[key], *np.where(gone, None, values).tolist()]
        for key, gone, values in zip(
            part.meter_index, part.missing.T, part.values.T.astype(object), strict=True
        )
    ]
    assert sorted(rows, key=str) == [
        ["M1", None, 2301], ["M1", None, None], ["M2", 4, None], ["M2", 5, None]
    ]  # fmt: skip
    assert part.received_at.tolist() == [T0 + 10] * 4
    assert sorted((part.quality & Quality.CONFLICTING).tolist())[-2:] == [0, Quality.CONFLICTING]
    assert sum(each.row_count for each in store.rows(PROFILE, T0, T0 + 901)) == 5
    assert list(store.rows("9.9.9.9.9.9", T0, T0 + 9)) == []


def test_an_area_is_summed_by_naming_its_meters(store: ReadingStore) -> None:
    start = T0 - T0 % 3600
    rows = {m: [(start + 900 * k, 100 * k * n) for k in range(9)] for n, m in ((1, "A"), (2, "B"))}
    put(store, block(rows))
    span = (start, start + 3600, 3600)
    assert store.fleet_series(PROFILE, "1.0.1.8.0.255", *span, ["B", "nobody"]).values == [600]
    assert store.fleet_increase(PROFILE, "1.0.1.8.0.255", *span, ["A"]).values == [400]
    assert store.fleet_series(PROFILE, "1.0.1.8.0.255", *span, []).times == []


def test_what_is_older_than_it_may_be_goes(store: ReadingStore) -> None:
    assert store.extent() is None
    put(store, block({"M1": [(T0, 1), (T0 + 900, 2)]}))
    put(store, block({"M1": [(T0, 3)]}), sequence=2, at_ms=T0 * 1000 + 1)
    extent = store.extent()
    assert extent is not None
    assert (extent[0] <= T0, extent[1] > T0 + 900) == (True, True)
    store.expire(T0 + 900)
    assert exported(store) == [("M1", T0 + 900, 2, 0)]


def test_one_customers_readings_can_be_removed(store: ReadingStore) -> None:
    odd = "M'1\\"
    put(store, block({odd: [(T0, 1)], "M2": [(T0, 2)]}))
    put(store, block({odd: [(T0, 5)]}), sequence=2, at_ms=T0 * 1000 + 1)
    store.erase(odd)
    store.erase("nobody")
    assert exported(store) == [("M2", T0, 2, 0)]
    assert counts(put(store, block({odd: [(T0, 1)]}), sequence=3)) == (1, 0, 0)


def test_one_customers_time_can_be_removed(store: ReadingStore) -> None:
    """What a meter measured for those before and after stays, the ends counted as ranges are."""
    times = [T0 + 900 * number for number in range(4)]
    put(store, block({"M1": [(at, at - T0) for at in times], "M2": [(times[1], 2)]}))
    put(store, block({"M1": [(times[1], 5)]}), sequence=2, at_ms=T0 * 1000 + 1)
    store.erase("M1", times[1], times[3])
    assert sorted(row[:2] for row in exported(store)) == [
        ("M1", times[0]), ("M1", times[3]), ("M2", times[1])
    ]  # fmt: skip
    store.erase("M1", times[3], None)
    store.erase("M2", None, times[1])
    assert sorted(row[:2] for row in exported(store)) == [("M1", times[0]), ("M2", times[1])]


def test_reads_go_on_while_groups_are_written(store: ReadingStore) -> None:
    """Nothing is seen twice, or less than before, whoever reads in between."""
    put(store, block({"M1": [(T0, 0)]}), sequence=0)
    done = threading.Event()
    seen: list[list[int]] = []

    def read() -> None:
        while not done.is_set():
            seen.append(store.captured_times("M1", PROFILE, T0, T0 + 10**6).tolist())
            store.series("M1", PROFILE, "1.0.1.8.0.255", T0, T0 + 10**6, 3600)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, 20):
        put(store, block({f"M{m}": [(T0 + 900 * n, n)] for m in range(20)}), sequence=n)
    done.set()
    reader.join()
    every = [T0 + 900 * n for n in range(20)]
    assert all(times == every[: len(times)] for times in seen)
    assert [len(times) for times in seen] == sorted(len(times) for times in seen)
    assert store.captured_times("M1", PROFILE, T0, T0 + 10**6).tolist() == every
