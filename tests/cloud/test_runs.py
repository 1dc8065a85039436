"""Which ranges of time hold a group's capture times."""

import numpy as np
from hesper_cloud.stores.runs import runs

DAY_S = 86_400


def test_times_of_one_day_are_one_range() -> None:
    assert runs(np.array([900, 0, 1800])) == [(0, 1801)]
    assert runs(np.array([0, DAY_S])) == [(0, DAY_S + 1)]
    assert runs(np.array([], np.int64)) == []


def test_what_is_more_than_a_day_apart_is_asked_for_apart() -> None:
    times = np.array([10 * DAY_S, 900, 10 * DAY_S + 900, 0, 30 * DAY_S])
    assert runs(times) == [(0, 901), (10 * DAY_S, 10 * DAY_S + 901), (30 * DAY_S, 30 * DAY_S + 1)]


def test_there_are_never_many_and_they_leave_the_widest_gaps_out() -> None:
    times = np.cumsum(np.arange(100) * DAY_S)
    found = runs(times)
    assert len(found) == 16
    assert all(any(first <= at < end for first, end in found) for at in times)
    assert found[-15:] == [(at, at + 1) for at in times[-15:].tolist()]
