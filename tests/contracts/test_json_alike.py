"""JSON batches of readings that are all alike come apart as any other, mistakes included."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hesper_contracts import json_alike, json_columns, readings_json
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import Refused
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 9, 21, 14, tzinfo=UTC)
NAMES = ("1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.32.7.0.255")
TIMES = ("2026-09-21T14:00:00Z", "2026-09-21T16:15:00+02:00", "0001-01-01T00:00:00Z", "2026-09-21")

numbers = st.integers(-5, 5) | st.sampled_from([1 << 63, -(1 << 63), None, 1.5, True])
usual = st.fixed_dictionaries({name: st.just([7, 0, 30]) for name in NAMES})
values = usual | st.dictionaries(
    st.sampled_from([*NAMES, "no name"]),
    st.tuples(numbers, st.sampled_from([0, 0, -1, 200]), st.sampled_from([30, 30, 300])),
    max_size=3,
)
readings = st.fixed_dictionaries(
    {
        "meter": st.sampled_from(["M1", "M2", "M3", "", "a b"]),
        "captured_at": st.sampled_from([TIMES[0], TIMES[0], *TIMES]),
        "values": values,
    },
    optional={
        "profile": st.sampled_from(["1.0.99.1.0.255", "1.0.99.2.0.255", "none"]),
        "clock_status": st.sampled_from([0, 128, 256]),
        "quality": st.integers(0, 70_000),
        "colour": st.just("red"),
    },
)
batches = st.fixed_dictionaries(
    {"kind": st.just("readings"), "version": st.just(1), "readings": st.lists(readings)},
    optional={
        "batch": st.just({"epoch": "00" * 8, "sequence": 7}),
        "received_at": st.sampled_from(TIMES),
    },
)


def outcome(opened: json_columns.Opened) -> object:
    """Return a batch's identity and its readings, whatever sections they came in.

    Readings that name the same quantities in another order are one section or two.
    """
    found = (told for section in opened.sections for told in readings_of(section))
    return opened.batch, Counter(found)


def readings_of(section: SectionColumns) -> Iterator[tuple[object, ...]]:
    arrays = (section.captured_at, section.clock_status, section.quality, section.values)
    kinds = tuple(str(each.dtype) for each in arrays)
    for row in range(len(section)):
        values = frozenset(
            (quantity, None if _is_null(section, place, row) else int(section.values[place, row]))
            for place, quantity in enumerate(section.quantities)
        )
        meter = section.meters[section.meter_index[row]]
        small = tuple(int(each[row]) for each in arrays[:3])
        yield section.profile, section.received_at, meter, *small, values, kinds


def _is_null(section: SectionColumns, place: int, row: int) -> bool:
    return section.nulls is not None and bool(section.nulls[place, row])


def one_by_one(payload: bytes) -> object:
    try:
        parsed = readings_json.parse(payload)
        sections = json_columns.sections(parsed, NOW)
        return outcome(json_columns.Opened(parsed.batch, sections))
    except Refused as refusal:
        return str(refusal)


def opened(payload: bytes) -> object:
    try:
        return outcome(json_columns.open_(payload, NOW))
    except Refused as refusal:
        return str(refusal)


@given(batches)
def test_both_ways_say_the_same(batch: object) -> None:
    payload = json.dumps(batch).encode()
    assert opened(payload) == one_by_one(payload)


def batch_of(*each: dict[str, object]) -> bytes:
    return json.dumps({"kind": "readings", "version": 1, "readings": each}).encode()


def reading(**values_: object) -> dict[str, object]:
    named = {NAMES[0]: [1, 0, 30], NAMES[1]: [2, 0, 30], **values_}
    return {"meter": "M", "captured_at": TIMES[0], "values": named}


def test_readings_that_are_alike_are_opened_together() -> None:
    alike = json_alike.parse(batch_of(reading(), reading()))
    assert alike is not None
    assert alike.names == tuple((name, 0, 30) for name in NAMES[:2])
    assert list(alike.values) == [1, 2] * 2


def test_another_order_of_the_same_names_changes_no_reading() -> None:
    turned = {NAMES[1]: [4, 0, 30], NAMES[0]: [3, 0, 30]}
    other = {"meter": "M", "captured_at": "2026-09-21T14:15:00Z", "values": turned}
    payload = batch_of(reading(), other)
    (section,) = json_columns.open_(payload, NOW).sections
    assert section.values.tolist() == [[1, 3], [2, 4]]
    assert opened(payload) == one_by_one(payload)


@pytest.mark.parametrize(
    "payload",
    [
        batch_of(),
        batch_of(reading(), reading(**{NAMES[2]: [3, 0, 35]})),
        batch_of(reading(), {"meter": "M", "captured_at": TIMES[0], "values": {}}),
        batch_of(reading(), reading(**{NAMES[0]: [None, 0, 30]})),
        batch_of(reading(), reading(**{NAMES[0]: [1, 0, 30, 0]})),
        batch_of(reading(), reading(**{NAMES[0]: [1, 0]})),
        batch_of(reading(), reading(**{NAMES[0]: [1, 0, 31]})),
        batch_of(reading(), reading(**{NAMES[0]: [1, 0, 30.0]})),
        b'{"kind":"readings"',
        b"{",
    ],
)
def test_others_are_left_alone(payload: bytes) -> None:
    assert json_alike.parse(payload) is None


@pytest.mark.parametrize("octet", [b"\x00", b"\n", b"\x1f", b"\x7f", b"\xff"])
def test_octets_that_no_name_may_hold_are_refused_as_ever(octet: bytes) -> None:
    payload = batch_of(reading()).replace(NAMES[0].encode(), b"1.0" + octet + b".8.0.255")
    assert isinstance(opened(payload), str)
    assert opened(payload) == one_by_one(payload)
