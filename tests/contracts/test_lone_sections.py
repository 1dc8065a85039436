"""Bodies of few meters each, taken apart together, are what each of them is alone, or are left."""

from unittest import mock

import numpy as np
import pytest
from hesper_contracts import columns, lone_sections
from hesper_contracts.frame import Encoding, Refused
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section, encode
from hypothesis import given
from hypothesis import strategies as st

ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)
ODD = Quantity(bytes((7, 0, 3, 1, 0, 255)), -2, 13)
T0 = 1_790_000_100
VALUES = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300)


def body_of(
    meter: str, values: list[list[int | None]], names: tuple[Quantity, ...], at: int = T0
) -> bytes:
    return body_of_meters([rows_of(meter, values, at)], names, at)


def rows_of(meter: str, values: list[list[int | None]], at: int = T0) -> MeterRows:
    rows = len(values[0]) if values else 1
    return MeterRows(
        meter, [at + 900 * row for row in range(rows)], [0] * rows, [rows] * rows, values
    )


def body_of_meters(meters: list[MeterRows], names: tuple[Quantity, ...], at: int = T0) -> bytes:
    encoding, body = encode([Section(LOAD_PROFILE, at + 60, names, meters)])
    return columns.plain(body, encoding)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    names = draw(st.sampled_from([(), (ENERGY,), (ENERGY, VOLTAGE), (VOLTAGE, ODD)]))
    at, usual = draw(st.integers(0, 1 << 34)), draw(st.integers(1, 3))
    meters = []
    for meter in draw(st.lists(st.sampled_from(["M1", "M2", "longer"]), min_size=1, max_size=3)):
        rows = draw(st.sampled_from([usual, usual, usual, usual + 1]))
        column = st.lists(VALUES, min_size=rows, max_size=rows)
        with_nulls = st.lists(VALUES | st.none(), min_size=rows, max_size=rows)
        meters.append(rows_of(meter, [draw(column | with_nulls) for _ in names], at))
    return body_of_meters(meters, names, at)


def alone(body: bytes) -> object:
    try:
        (section,) = columns.decode(body, Encoding.COLUMNS)
    except (Refused, ValueError) as refusal:
        return str(refusal)
    return (
        section.profile,
        section.quantities,
        section.meters,
        section.received_at,
        section.captured_at.tolist(),
        section.clock_status.tolist(),
        section.quality.tolist(),
        section.values.tolist(),
        section.nulls is None,
    )


def together(some: list[bytes]) -> dict[int, object]:
    with mock.patch.object(lone_sections, "FEWEST", 1):
        found = lone_sections.taken_apart(some)
    return {
        place: (
            each.profile,
            each.quantities,
            each.meters[number],
            int(each.received_at[number]),
            each.captured_at[number].tolist(),
            each.clock_status[number].tolist(),
            each.quality[number].tolist(),
            each.values[:, number].tolist(),
            True,
        )
        for each in found
        for number, place in enumerate(each.places)
    }


@given(st.lists(bodies(), max_size=8))
def test_together_they_say_what_each_says_alone(some: list[bytes]) -> None:
    for place, found in together(some).items():
        assert found == alone(some[place])


@given(st.lists(bodies(), min_size=1, max_size=4), st.data())
def test_damaged_ones_say_it_too_or_are_left(some: list[bytes], data: st.DataObject) -> None:
    hurt = data.draw(st.integers(0, len(some) - 1))
    place = data.draw(st.integers(0, len(some[hurt]) - 1))
    put = data.draw(st.binary(max_size=3))
    damaged = some[hurt][:place] + put + some[hurt][place + 1 :]
    found = together([*some[:hurt], damaged, *some[hurt + 1 :]])
    if hurt in found:
        assert found[hurt] == alone(damaged)
    for number in found.keys() - {hurt}:  # the others do not suffer
        assert found[number] == alone(some[number])


def test_usual_bodies_of_every_width_are_all_taken() -> None:
    wide: list[list[int | None]] = [[1 << shift, 1 << shift >> 1, 0] for shift in range(0, 63, 7)]
    some = [
        body_of(f"M{number}", [values, [-7, number, 5]], (ENERGY, VOLTAGE))
        for number, values in enumerate(wide * 3)
    ]
    assert set(together(some)) == set(range(len(some)))


def test_bodies_of_several_meters_are_taken_too() -> None:
    some = [
        body_of_meters(
            [rows_of(f"M{number}", [[turn, number, -5]]) for number in range(100)], (ENERGY,)
        )
        for turn in range(3)
    ]
    found = together(some)
    assert [found[place] for place in range(3)] == [alone(body) for body in some]


def test_what_has_nulls_unlike_meters_too_many_or_octets_behind_it_is_left() -> None:
    usual = body_of("M1", [[5]], (ENERGY,))
    unlike = [rows_of("M1", [[5]]), rows_of("M2", [[5, 6]])]
    many = [rows_of(f"M{number}", [[5] * 9]) for number in range(127)]
    odd = [
        body_of("M1", [[None]], (ENERGY,)),
        body_of_meters(unlike, (ENERGY,)),
        body_of_meters(many, (ENERGY,)),
        usual + b"\x00",
        usual[:-1],
        b"",
    ]
    assert set(together([*odd, usual])) == {len(odd)}


def test_more_than_the_memory_should_hold_is_left() -> None:
    some = [body_of("M1", [[5, 6]], (ENERGY,))] * 30
    with mock.patch.object(lone_sections, "_MOST_CELLS", 30 * 2 * 4 - 1):
        assert lone_sections.taken_apart(some) == []
    with mock.patch.object(lone_sections, "_MOST_CELLS", 30 * 2 * 4):
        assert len(lone_sections.taken_apart(some)) == 1


@pytest.mark.parametrize(("count", "taken"), [(-1, 0), (0, 1)])
def test_a_few_are_left_to_be_taken_apart_one_by_one(count: int, taken: int) -> None:
    some = [body_of("M1", [[5]], (ENERGY,))] * (lone_sections.FEWEST + count)
    assert len(lone_sections.taken_apart(some)) == taken


def test_columns_have_the_shape_of_bodies_and_rows() -> None:
    some = [body_of("M1", [[5, 6], [7, 8]], (ENERGY, VOLTAGE))] * 30
    (lone,) = lone_sections.taken_apart(some)
    assert lone.captured_at.shape == lone.quality.shape == lone.clock_status.shape == (30, 2)
    assert lone.values.shape == (2, 30, 2)
    assert np.array_equal(lone.values[1, 29], [7, 8])
