"""Short sections, walked over with plain integers, are what numpy says, damaged ones included."""

from unittest import mock

import numpy as np
from hesper_contracts import columns
from hesper_contracts.frame import Encoding, Refused
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section, encode
from hesper_contracts.short_sections import MOST_ROWS, short_section
from hypothesis import given
from hypothesis import strategies as st

ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)
ODD = Quantity(bytes((7, 0, 3, 1, 0, 255)), -2, 13)
T0 = 1_790_000_100
VALUES = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Bodies before compression, some with what only numpy takes apart: escapes and nulls."""
    quantities = tuple(draw(st.lists(st.sampled_from([ENERGY, VOLTAGE, ODD]), max_size=3)))
    rows = []
    for number in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 4))
        column = st.lists(VALUES, min_size=count, max_size=count)
        with_nulls = st.lists(VALUES | st.none(), min_size=count, max_size=count)
        values = [draw(column | with_nulls) for _ in quantities]
        times = [T0 + 900 * row for row in range(count)]
        rows.append(MeterRows(f"M{number}", times, [0] * count, [number] * count, values))
    encoding, body = encode([Section(LOAD_PROFILE, T0 + 60, quantities, rows)])
    return body if encoding is Encoding.COLUMNS else columns.plain(body, encoding)


def outcome(body: bytes) -> object:
    try:
        found = columns.decode(body, Encoding.COLUMNS)
    except Refused as refusal:
        return str(refusal)
    return [
        (each.profile, each.received_at, each.quantities, each.meters, _arrays(each))
        for each in found
    ]


def _arrays(section: columns.SectionColumns) -> list[tuple[str, object]]:
    nulls = section.nulls
    values = section.values if nulls is None else np.where(nulls, 0, section.values)
    columns_ = (section.meter_index, section.captured_at, section.clock_status, section.quality)
    return [(str(each.dtype), each.tolist()) for each in (*columns_, values)] + [
        ("nulls", None if nulls is None else nulls.tolist())
    ]


def long_way(body: bytes) -> object:
    with mock.patch.object(columns, "short_section", return_value=None):
        return outcome(body)


@given(bodies())
def test_both_ways_say_the_same(body: bytes) -> None:
    assert outcome(body) == long_way(body)


@given(bodies(), st.data())
def test_both_ways_say_the_same_of_damaged_octets(body: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body) - 1))
    damaged = body[:place] + data.draw(st.binary(max_size=3)) + body[place + 1 :]
    assert outcome(damaged) == long_way(damaged)


def body_of(rows: int) -> bytes:
    values = [list(range(rows))]
    meter = MeterRows("M", [T0 + row for row in range(rows)], [0] * rows, [0] * rows, values)
    encoding, body = encode([Section(LOAD_PROFILE, T0, (ENERGY,), [meter])])
    return body if encoding is Encoding.COLUMNS else columns.plain(body, encoding)


def test_a_short_section_is_taken_apart_to_its_end() -> None:
    body = body_of(MOST_ROWS)
    found = short_section(body, 1)
    assert found is not None
    section, end = found
    assert end == len(body)
    assert section.values == [list(range(MOST_ROWS))]


def test_a_longer_one_is_left_to_numpy() -> None:
    assert short_section(body_of(MOST_ROWS + 1), 1) is None


def test_short_sections_count_towards_what_a_batch_may_hold() -> None:
    body = body_of(MOST_ROWS)
    with mock.patch.object(columns, "MAX_CELLS", 4 * MOST_ROWS - 1):
        assert "cells in one batch" in str(outcome(body))
