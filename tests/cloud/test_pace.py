"""Who asks far too often is served at a pace, and costs the others nothing."""

import pytest
from hesper_cloud import pace
from hesper_cloud.pace import Pace


def test_a_sender_is_served_at_its_pace_and_others_at_theirs() -> None:
    now = [0.0]
    kept = Pace(0.5, 3, lambda: now[0])
    assert [kept.admits("a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert kept.admits("b")
    now[0] = 2.0
    assert [kept.admits("a") for _ in range(2)] == [True, False]
    now[0] = 1000.0
    assert [kept.admits("a") for _ in range(4)] == [True] * 3 + [False]


def test_senders_without_end_are_forgotten_those_first_that_were_silent_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "_MOST_SENDERS", 10)
    kept = Pace(0.0, 1, lambda: 0.0)
    assert all(kept.admits(f"gw-{number}") for number in range(10))
    assert not kept.admits("gw-0")  # heard just now
    assert all(kept.admits(f"other-{number}") for number in range(9))
    assert not kept.admits("gw-0")
    assert len(kept._buckets) == 10
