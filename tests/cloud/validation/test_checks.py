"""Every check at pass, fail and boundary: a value at its threshold passes, the next one fails."""

import numpy as np
import pytest
from hesper_cloud.validation import checks
from hesper_contracts.quality import Quality


def grid(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def known_of(values: np.ndarray, *absent: tuple[int, int]) -> np.ndarray:
    known = np.ones(values.shape, dtype=bool)
    for place in absent:
        known[place] = False
    return known


def failing(flags: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(map(int, place)) for place in np.argwhere(flags)]


def test_range():
    values = grid([-1, 0, 1000, 1001, 9999])
    failed = checks.outside_range(values, known_of(values, (0, 4)), 0, 1000)
    assert failing(failed) == [(0, 0), (0, 3)]


def test_range_holds_over_a_gap():
    values = grid([100, 0, 0, 130], [100, 0, 0, 131], [100, 111, 0, 999], [0, 0, 0, 999])
    known = known_of(values, *((row, column) for row in range(4) for column in (1, 2)))
    known[3, 0] = False
    assert failing(checks.leaps(values, known, 10)) == [(1, 2), (2, 2)]
    known[2] = True  # without a gap it is the other check's
    assert failing(checks.leaps(values, known, 10)) == [(1, 2)]


def test_spike_compares_with_the_third_highest():
    at, over = [1000, 1000, 1000, 2800], [1000, 1000, 1000, 2801]
    values = grid(at, over, [0, 0, 0, 501], [0, 0, 0, 500])
    failed = checks.spikes(values, known_of(values), 180, 500)
    assert failing(failed) == [(1, 3), (2, 3)]


def test_spike_needs_three_intervals_to_compare():
    values = grid([1, 1, 1, 9000])
    assert failing(checks.spikes(values, known_of(values, (0, 0), (0, 1)), 180, 500)) == []
    assert failing(checks.spikes(values[:, :2], known_of(values[:, :2]), 180, 500)) == []


@pytest.mark.parametrize(("total", "failed"), [(1000, False), (1010, False), (1011, True)])
def test_sum_against_register_advance(total: int, failed: bool):
    values = grid([500, total - 500])
    found = checks.sums_off(values, known_of(values), np.array([1000]), 1, 5)
    assert found.tolist() == [failed]


def test_sum_has_an_absolute_tolerance_and_judges_whole_days_alone():
    values = grid([5, 5], [5, 6], [500, 0])
    known = known_of(values, (2, 1))
    assert checks.sums_off(values, known, np.array([0, 0, 0]), 1, 10).tolist() == [
        False,
        True,
        False,
    ]


def test_zero_intervals_count_in_runs():
    values = grid([0, 0, 0, 5, 0, 0], [0, 0, 5, 0, 0, 5])
    assert failing(checks.zero_runs(values, known_of(values), 3)) == [(0, 0), (0, 1), (0, 2)]
    assert failing(checks.zero_runs(values, known_of(values, (0, 1)), 3)) == []


def test_missing():
    values = grid([1, 2, 3])
    assert failing(checks.missing(known_of(values, (0, 1)))) == [(0, 1)]
    assert failing(checks.missing(known_of(values))) == []


def test_time_tolerance_holds_both_ways():
    due = np.array([900, 1800, 2700, 3600])
    captured = grid([900, 1860, 2639, 3661])
    failed = checks.off_time(captured, due, known_of(captured), 60)
    assert failing(failed) == [(0, 2), (0, 3)]
    assert failing(checks.off_time(captured, due, known_of(captured, (0, 2)), 60)) == [(0, 3)]


@pytest.mark.parametrize(
    ("before", "after", "capacity"),
    [
        (99_998, 3, 100_000),
        (90_000, 10_000, 100_000),  # both at the boundary
        (89_999, 3, 0),
        (90_000, 10_001, 0),
        (2**32 - 5, 3, 2**32),
        (9_998, 3, 0),  # no register is that small
        (-5, -9, 0),
    ],
)
def test_rollover(before: int, after: int, capacity: int):
    one = np.ones((1, 1), dtype=bool)
    assert checks.rollovers(grid([before]), grid([after]), one, 90).tolist() == [[capacity]]
    assert checks.rollovers(grid([before]), grid([after]), ~one, 90).tolist() == [[0]]


def test_reverse_energy():
    growth = grid([5, 0, -1, -10, -11])
    assert failing(checks.reversed_energy(growth, known_of(growth), 0)) == [(0, 2), (0, 3), (0, 4)]
    assert failing(checks.reversed_energy(growth, known_of(growth, (0, 4)), 10)) == []


def test_phase_imbalance():
    l1, l2, l3 = grid([230, 200, 230, 9]), grid([230, 200, 230, 0]), grid([230, 209, 251, 0])
    phases = np.stack([l1, l2, l3])  # the mean of the second is 203, of the third 237
    assert failing(checks.imbalanced(phases, known_of(l1), 2, 10)) == [(0, 1), (0, 2)]
    exactly = np.stack([grid([100]), grid([98]), grid([102])])
    assert failing(checks.imbalanced(exactly, known_of(l1[:, :1]), 2, 10)) == []
    assert failing(checks.imbalanced(exactly, known_of(l1[:, :1]), 1, 10)) == [(0, 0)]


def test_power_factor():
    factors = grid([1000, 1001, 500, 499, -499, 10])
    loaded = known_of(factors, (0, 5))
    assert failing(checks.poor_power_factor(factors, loaded, 500, 1000)) == [
        (0, 1), (0, 3), (0, 4)
    ]  # fmt: skip


def test_voltage_in_the_sense_of_en_50160():
    band = (1955, 2070, 2530)  # tenths of a volt around 230 V
    good = [2300] * 38
    rows = grid(
        [*good, 2530, 2531],  # above + 10 %: never
        [*good, 2070, 1954],  # below - 15 %: never
        [*good, 2069, 1955],  # two of forty below - 10 %: 5 %, as it may be
        [*good[1:], 2069, 2069, 1955],  # three of forty are too many
    )
    failed = checks.voltage_out_of_band(rows, known_of(rows), band, 95)
    assert failing(failed) == [(0, 39), (1, 39), (3, 37), (3, 38), (3, 39)]


def test_stale_values_repeat_in_a_row():
    values = grid([7, 7, 7, 8, 8], [7, 7, 7, 7, 8], [0, 0, 0, 0, 0])
    assert failing(checks.stale(values, known_of(values), 4)) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert failing(checks.stale(values, known_of(values, (1, 2)), 4)) == []


def test_duplicate():
    assert failing(checks.duplicates(grid([0, 1, 2]))) == [(0, 2)]


def test_conflicting():
    quality = grid([0, int(Quality.CONFLICTING | Quality.ROLLOVER), int(Quality.ROLLOVER)])
    assert failing(checks.conflicting(quality, int(Quality.CONFLICTING))) == [(0, 1)]
