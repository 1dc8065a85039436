"""Gaps are filled to the last integer of what the register advanced."""

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud.thresholds import Estimation
from hesper_cloud.validation.codes import LINEAR, REFERENCE_DAY
from hesper_cloud.validation.estimate import Gap, fill, gaps, linear, reference_times, shaped

BERLIN = ZoneInfo("Europe/Berlin")
RULES = (Estimation(), frozenset[date]())
QUARTER = 900


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp())


def test_linear_is_exact_and_never_leaves_its_ends():
    assert linear(100, 110, 3) == [102, 105, 107]
    assert linear(7, 7, 2) == [7, 7]
    assert linear(0, 2, 4) == [0, 0, 1, 1]


def test_shaped_follows_weights_to_the_last_integer():
    assert shaped(0, 100, [1, 0, 3]) == [25, 25]
    assert shaped(0, 10, [1, 1, 1]) == [3, 6]
    assert shaped(0, 9, [0, 0, 0]) == [3, 6]  # no shape to follow: equal parts


def test_gaps_lie_between_known_captures():
    assert list(gaps([0, 900, 2700, 3600], [1, 2, 5, 6], 900)) == [Gap(900, 2, 2700, 5)]
    assert list(gaps([0, 900, 1800], [1, 2, 3], 900)) == []


@pytest.mark.parametrize(("length_s", "method"), [(7200, LINEAR), (8100, REFERENCE_DAY)])
def test_two_hours_is_the_boundary_of_interpolation(length_s: int, method: str):
    start = at("2026-03-11T08:00")
    growth = {start - 7 * 86_400 + QUARTER * step: step for step in range(1, 20)}
    found = fill(Gap(start, 1000, start + length_s, 1777), QUARTER, growth, BERLIN, RULES)
    assert {estimate.method for estimate in found} == {method}
    assert [estimate.captured_at for estimate in found] == list(
        range(start + QUARTER, start + length_s, QUARTER)
    )
    values = [1000, *(estimate.value for estimate in found), 1777]
    steps = [after - before for before, after in pairwise(values)]
    assert sum(steps) == 777
    assert min(steps) >= 0
    if method == REFERENCE_DAY:
        assert steps[-1] > 3 * steps[0]


def test_references_have_the_same_wall_clock_across_the_change_of_time():
    found = list(reference_times(at("2026-04-01T18:00"), BERLIN, frozenset(), 2))
    assert found == [at("2026-03-25T18:00"), at("2026-03-18T18:00")]
    assert datetime.fromtimestamp(found[0], UTC).hour == 17


def test_holidays_are_left_aside_and_look_at_sundays():
    holidays = frozenset({date(2026, 12, 18), date(2026, 12, 25)})
    friday = list(reference_times(at("2027-01-01T12:00"), BERLIN, holidays, 3))
    assert friday == [at("2026-12-11T12:00")]
    holiday = list(reference_times(at("2026-12-25T12:00"), BERLIN, holidays, 2))
    assert holiday == [at("2026-12-20T12:00"), at("2026-12-13T12:00")]


def test_a_reference_in_which_the_register_fell_is_none():
    start, length_s = at("2026-03-11T08:00"), 4 * 3600
    ends = range(start + QUARTER, start + length_s + 1, QUARTER)
    growth = {end - 7 * 86_400: 100 for end in ends} | {end - 14 * 86_400: 100 for end in ends}
    growth[start + QUARTER - 7 * 86_400] = -5000
    found = fill(Gap(start, 1000, start + length_s, 2600), QUARTER, growth, BERLIN, RULES)
    assert [each.value for each in found] == [1000 + 100 * step for step in range(1, 16)]
    assert {each.method for each in found} == {REFERENCE_DAY}


def test_without_references_a_long_gap_is_interpolated():
    found = fill(Gap(0, 0, 36_000, 400), QUARTER, {}, BERLIN, RULES)
    assert {estimate.method for estimate in found} == {LINEAR}


def test_what_cannot_be_estimated_is_not():
    assert fill(Gap(0, 500, 3600, 400), QUARTER, {}, BERLIN, RULES) == []
    assert fill(Gap(0, 1, 36 * 86_400, 2), QUARTER, {}, BERLIN, RULES) == []
