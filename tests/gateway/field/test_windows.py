"""Which windows of a profile are asked for."""

import itertools

import pytest
from hesper_gateway.sessions.windows import OPEN_END_S, Stretch, Windows, stretch


def walk(wanted: Stretch, window_s: int, row_count: int, rows_in) -> list[tuple[int, int]]:
    windows, seen = Windows(wanted, window_s, row_count), []
    for start, end in windows:
        seen.append((start, end))
        windows.took(rows_in(start, end))
    return seen


def test_windows_cover_the_stretch_without_gap_or_overlap():
    wanted = stretch(None, 1_000_000, 400_000, 0)
    seen = walk(wanted, 10_000, 100, lambda start, end: 80)
    assert seen[0][0] == 400_000
    assert seen[-1][1] == 1_000_000 + OPEN_END_S
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(seen))
    assert all(end - start == 9_999 for start, end in seen[:-1])


def test_empty_years_cost_a_handful_of_windows():
    wanted = stretch(None, 1_790_000_000, 946_684_800, 0)
    assert len(walk(wanted, 500 * 900, 500, lambda start, end: 0)) < 50


def test_a_full_window_makes_the_next_one_shorter():
    wanted = Stretch(0, 100_000, 100_000)
    seen = walk(wanted, 10_000, 100, lambda start, end: 1000)
    assert seen[1][1] - seen[1][0] == 4_999


@pytest.mark.parametrize(
    ("mark", "back_s", "start"),
    [(None, 0, 500), (9_000, 0, 9_001), (9_000, 600, 8_401), (10_050, 0, 10_051), (99_999, 0, 500)],
)
def test_where_a_reading_begins(mark, back_s, start):
    assert stretch(mark, 10_000, 500, back_s).start == start


def test_rows_of_the_future_do_not_carry_the_mark():
    wanted = stretch(None, 10_000, 500, 0)
    assert wanted.mark([9_000, 9_900, 99_000]) == 9_900
    assert wanted.mark([99_000]) is None
