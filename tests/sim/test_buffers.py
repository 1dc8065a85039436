"""The ring buffer of a profile."""

from __future__ import annotations

from hesper_sim.buffers import ROW_SLACK, RowBuffer
from hypothesis import given
from hypothesis import strategies as st


def test_the_oldest_rows_go():
    buffer = RowBuffer(2, 10)
    for at in range(ROW_SLACK * 3):
        buffer.append(at, (at, 2**32 - 1))
    rows = buffer.between(0, 10_000)
    assert len(buffer) == len(rows) == 10
    assert rows[-1] == (ROW_SLACK * 3 - 1, (ROW_SLACK * 3 - 1, 2**32 - 1))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_between_is_what_a_list_would_say(start, end, depth):
    buffer = RowBuffer(1, depth)
    for at in range(0, 50, 2):
        buffer.append(at, (at * 3,))
    kept = list(range(0, 50, 2))[-depth:]
    rows = [(row.captured_at, row.values) for row in buffer.between(start, end)]
    assert rows == [(at, (at * 3,)) for at in kept if start <= at <= end]


def test_an_empty_buffer_has_nothing():
    buffer = RowBuffer(1, 5)
    assert buffer.last_at is None
    assert buffer.between(0, 100) == []
