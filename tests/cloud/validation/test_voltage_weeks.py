"""EN 50160 by the week: at the limits, with short and long captures, with values missing."""

import numpy as np
import pytest
from hesper_cloud.validation.voltage_weeks import Assessment, Band, assess

WEEK = (1_790_000_400, 1_790_000_400 + 7 * 86_400)
DUE = 1008  # 10-minute means of a week
BAND = Band(1955, 2070, 2530, 95)  # tenths of a volt around 230 V


def week(values: dict[int, int], period_s: int = 600, usual: int = 2300) -> Assessment:
    """Assesses a week of usual captures but for some, counted from 1; 0: not there."""
    count = 7 * 86_400 // period_s
    told = [values.get(n, usual) for n in range(1, count + 1)]
    times = np.array([WEEK[0] + n * period_s for n in range(1, count + 1)])
    there = np.array([value != 0 for value in told])
    return assess(times[there], np.array(told)[there], WEEK, period_s, BAND)


@pytest.mark.parametrize(
    ("values", "within", "beyond", "verdict"),
    [
        ({}, DUE, 0, "met"),
        (dict.fromkeys(range(1, 51), 2069), DUE - 50, 0, "met"),  # 50 of 1008: 4.96 %
        (dict.fromkeys(range(1, 52), 2069), DUE - 51, 0, "missed"),  # 51: 5.06 %
        (dict.fromkeys(range(1, 500), 2070), DUE, 0, "met"),
        ({DUE: 2530}, DUE, 0, "met"),
        ({DUE: 2531}, DUE - 1, 1, "missed"),
        ({1: 1955}, DUE - 1, 0, "met"),
        ({1: 1954}, DUE - 1, 1, "missed"),
    ],
)
def test_limits(values: dict[int, int], within: int, beyond: int, verdict: str) -> None:
    assert week(values) == Assessment(600, DUE, DUE, within, beyond, verdict)  # type: ignore[arg-type]


def test_captures_of_a_minute_are_brought_to_means_of_ten() -> None:
    dip = dict.fromkeys(range(11, 16), 1800)  # five minutes: the mean is 205 V
    assert week(dip, 60) == Assessment(600, DUE, DUE, DUE - 1, 0, "met")
    assert week(dip | {16: 1000, 17: 1000}, 60).verdict == "missed"


def test_longer_captures_are_taken_as_they_are() -> None:
    found = week({3: 2000}, 900)
    assert (found.interval_s, found.due, found.within, found.verdict) == (900, 672, 671, "met")


def test_missing_values_are_no_breach_but_may_leave_it_open() -> None:
    assert week(dict.fromkeys(range(1, 51), 0)).verdict == "met"
    assert week(dict.fromkeys(range(1, 52), 0)) == Assessment(600, DUE, 957, 957, 0, "open")
    low = dict.fromkeys(range(100, 151), 2000)
    assert week(dict.fromkeys(range(1, 52), 0) | low).verdict == "missed"


def test_a_capture_belongs_to_the_week_that_it_ends() -> None:
    times, values = np.array([WEEK[0], WEEK[1]]), np.array([1, 2300])
    assert assess(times, values, WEEK, 600, BAND).known == 1
    assert assess(times, values, WEEK, 600, BAND).beyond == 0
