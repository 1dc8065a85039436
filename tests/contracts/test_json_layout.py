"""JSON batches of one form come apart as any other, mistakes included."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hesper_contracts import json_columns, json_form, json_layout, readings_json
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import Refused
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 9, 21, 14, tzinfo=UTC)
NAMES = ("1.0.1.8.0.255", "1.0.2.8.0.255", "1.0.32.7.0.255")
TIMES = ("2026-09-21T14:00:00Z", "2026-09-21T16:15:00+02:00", "0001-01-01T00:00:00Z", "2026-09-21")


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of a few readings are tried, too."""
    monkeypatch.setattr(json_layout, "_LEAST_OCTETS", 0)


def outcome(opened: json_columns.Opened) -> object:
    """Return a batch's identity and its readings, whatever sections they came in.

    Readings that name the same quantities in another order are one section or two.
    """
    found = (told for section in opened.sections for told in readings_of(section))
    return opened.batch, Counter(found), opened.refused


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
    """Return what becomes of a batch whose readings are looked at by themselves."""
    try:
        parsed, refused = readings_json.parse_each(payload)
        sections = json_columns.sections(parsed, NOW)
        return outcome(json_columns.Opened(parsed.batch, sections, refused))
    except Refused as refusal:
        return str(refusal)


def opened(payload: bytes) -> object:
    try:
        return outcome(json_columns.open_(payload, NOW))
    except Refused as refusal:
        return str(refusal)


numbers = st.integers(-5, 5) | st.sampled_from(
    [1 << 63, (1 << 63) - 1, -(1 << 63), 10**18, -(10**18) + 1, None, 1.5, 1.0, 1e3, True, "1"]
)
usual = st.fixed_dictionaries({name: st.just([7, 0, 30]) for name in NAMES})
values = usual | st.dictionaries(
    st.sampled_from([*NAMES, "no name"]),
    st.tuples(numbers, st.sampled_from([0, 0, -1, 200]), st.sampled_from([30, 30, 300])),
    max_size=3,
)
readings = st.fixed_dictionaries(
    {
        "meter": st.sampled_from(["M1", "M2", "M3", "", "a b", "a,b", 'a"b', "Zähler", "a\\b"]),
        "captured_at": st.sampled_from([TIMES[0], TIMES[0], *TIMES]),
        "values": values,
    },
    optional={
        "profile": st.sampled_from(["1.0.99.1.0.255", "1.0.99.2.0.255", "none"]),
        "clock_status": st.sampled_from([0, 128, 256, -1]),
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


@given(batches, st.sampled_from([None, 1]), st.booleans())
def test_both_ways_say_the_same(batch: object, indent: int | None, ascii_: bool) -> None:
    payload = json.dumps(batch, indent=indent, ensure_ascii=ascii_).encode()
    assert opened(payload) == one_by_one(payload)


integers = st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-120, 120)
meters = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=33)
like = st.tuples(
    meters.filter(lambda name: not set(name) & set('",\\{}')),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(integers, min_size=3, max_size=3),
    st.integers(0, 256),
    st.integers(0, 65536),
)
rows_alike = st.lists(like, min_size=1, max_size=12)
orders = st.permutations(["meter", "captured_at", "values", "clock_status", "quality"])


def laid_out(rows: list[tuple], order: list[str], **layout: object) -> bytes:
    """Return a batch as one program would write it: keys in one order, blanks alike."""
    found = []
    for meter, at, numbers_, status, quality in rows:
        told = {
            "meter": meter,
            "captured_at": at.isoformat(),
            "values": {
                name: [number, scaler, 30]
                for name, number, scaler in zip(NAMES, numbers_, (0, -1, 3), strict=True)
            },
            "clock_status": status,
            "quality": quality,
        }
        found.append({key: told[key] for key in order})
    return json.dumps({"kind": "readings", "version": 1, "readings": found}, **layout).encode()


@given(
    rows_alike, orders, st.sampled_from([None, 2]), st.sampled_from([(",", ":"), (" , ", " : ")])
)
def test_whatever_is_laid_out_alike_is_read_alike(
    rows: list[tuple], order: list[str], indent: int | None, separators: tuple[str, str]
) -> None:
    payload = laid_out(rows, order, indent=indent, separators=separators)
    assert opened(payload) == one_by_one(payload)


@given(rows_alike, orders, st.data())
def test_octets_that_were_altered_are_read_alike_or_refused_alike(
    rows: list[tuple], order: list[str], data: st.DataObject
) -> None:
    payload = bytearray(laid_out(rows, order))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] = data.draw(st.sampled_from(b'0123456789-+.eE",:[]{} \n\\\x00\x7f\xffnu'))
    assert opened(bytes(payload)) == one_by_one(bytes(payload))


@given(st.lists(integers, min_size=1, max_size=40))
def test_integers_of_any_length_are_read(numbers_: list[int]) -> None:
    rows = [("M", NOW, [number] * 3, 0, 0) for number in numbers_]
    laid = json_layout.parse(laid_out(rows, ["meter", "captured_at", "values"]))
    assert laid is not None
    assert laid.values.tolist() == [numbers_] * 3


def batch_of(*each: dict[str, object]) -> bytes:
    return json.dumps({"kind": "readings", "version": 1, "readings": each}).encode()


def reading(**values_: object) -> dict[str, object]:
    named = {NAMES[0]: [1, 0, 30], NAMES[1]: [2, 0, 30], **values_}
    return {"meter": "M", "captured_at": TIMES[0], "values": named}


def test_readings_of_one_form_are_opened_together() -> None:
    laid = json_layout.parse(batch_of(reading(), reading()))
    assert laid is not None
    assert laid.meaning.names == NAMES[:2]
    assert laid.values.tolist() == [[1, 1], [2, 2]]
    assert laid.rows.meters == ("M",)


def test_a_meter_that_comes_back_and_names_of_any_length() -> None:
    names = ["M1", "M1", "METER-2", "M1", "M30"]
    laid = json_layout.parse(batch_of(*({**reading(), "meter": name} for name in names)))
    assert laid is not None
    assert laid.rows.meters == ("M1", "METER-2", "M30")
    assert laid.rows.meter_index.tolist() == [0, 0, 1, 0, 2]


def test_what_a_form_means_is_learnt_once() -> None:
    json_form.meaning.cache_clear()
    for value in range(5):
        payload = batch_of(reading(**{NAMES[0]: [value, 0, 30]}), reading())
        assert json_layout.parse(payload) is not None
    assert json_form.meaning.cache_info().misses == 1


def test_another_order_of_the_same_names_changes_no_reading() -> None:
    turned = {NAMES[1]: [4, 0, 30], NAMES[0]: [3, 0, 30]}
    other = {"meter": "M", "captured_at": "2026-09-21T14:15:00Z", "values": turned}
    payload = batch_of(reading(), other)
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
        batch_of(reading(), reading(**{NAMES[0]: [1 << 63, 0, 30]})),
        batch_of(reading(), {**reading(), "captured_at": TIMES[3]}),
        batch_of(reading(), {**reading(), "meter": "a b"}),
        batch_of(reading()).replace(b'"meter": "M"', b'"meter": "M", "meter": "N"'),
        batch_of(reading()).replace(b'"1.0.2.8.0.255"', b'"1.0.1.8.0.255"'),
        batch_of(reading(), reading()).replace(b"[1,", b"[01,"),
        b'{"kind":"readings"',
        b"{",
    ],
)
def test_others_are_left_alone(payload: bytes) -> None:
    assert json_layout.parse(payload) is None
    assert opened(payload) == one_by_one(payload)


@pytest.mark.parametrize("octet", [b"\x00", b"\n", b"\x1f", b"\x7f", b"\xff"])
def test_octets_that_no_name_may_hold_are_refused_as_ever(octet: bytes) -> None:
    payload = batch_of(reading()).replace(NAMES[0].encode(), b"1.0" + octet + b".8.0.255")
    assert isinstance(opened(payload), str)
    assert opened(payload) == one_by_one(payload)
