"""The replay window: every counter once, 1024 deep."""

import pytest
from hesper_gateway.replay import WIDTH, ReplayWindow
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 3 * WIDTH), max_size=60))
def test_no_counter_is_fresh_twice(counters: list[int]) -> None:
    window, accepted = ReplayWindow(), []
    for counter in counters:
        if window.fresh(counter):
            accepted.append(counter)
            window = window.marked(counter)
        assert ReplayWindow.from_octets(window.to_octets()) == window
    assert len(accepted) == len(set(accepted))
    assert window.highest == max(accepted, default=0)


@given(st.permutations(range(1, 200)))
def test_any_order_within_the_width_passes(counters: list[int]) -> None:
    window = ReplayWindow()
    for counter in counters:
        assert window.fresh(counter)
        window = window.marked(counter)


@pytest.mark.parametrize("counter", [0, 1, 5000 - WIDTH])
def test_too_old_to_know_is_not_fresh(counter: int) -> None:
    assert not ReplayWindow().marked(5000).fresh(counter)


def test_the_oldest_in_the_window_is_still_known() -> None:
    window = ReplayWindow().marked(5000)
    oldest = 5000 - WIDTH + 1
    assert window.fresh(oldest)
    assert not window.marked(oldest).fresh(oldest)


def test_a_jump_beyond_the_width_forgets_all_below() -> None:
    window = ReplayWindow().marked(5).marked(10**12)
    assert not window.fresh(5)
    assert window.fresh(10**12 - 1)
