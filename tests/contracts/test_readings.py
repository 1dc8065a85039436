"""The readings batch: byte-exact vectors, round trips, sizes, and refusal of anything else."""

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from hesper_contracts import batch, columns, json_columns, readings_json
from hesper_contracts.frame import Encoding, Kind, Refused
from hesper_contracts.readings import (
    LOAD_PROFILE,
    MeterRows,
    Quantity,
    Section,
    encode,
)
from hesper_contracts.streams import uvarint
from hypothesis import given
from hypothesis import strategies as st

ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)
ODD = Quantity(bytes((7, 0, 3, 1, 0, 255)), -2, 13)
MIDNIGHT = 1_790_000_100 // 900 * 900
CAPTURED = int(datetime(2026, 9, 21, 14, tzinfo=UTC).timestamp())
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def rows_of(section: Section) -> list[tuple[object, ...]]:
    """Flatten a section to one comparable row per reading."""
    return [
        (rows.meter, at, status, quality, tuple(column[index] for column in rows.values))
        for rows in section.rows
        for index, (at, status, quality) in enumerate(
            zip(rows.captured_at, rows.clock_status, rows.quality, strict=True)
        )
    ]


def rows_of_columns(found: columns.SectionColumns) -> list[tuple[object, ...]]:
    nulls = np.zeros(found.values.shape, bool) if found.nulls is None else found.nulls
    return [
        (
            found.meters[found.meter_index[row]],
            int(found.captured_at[row]),
            int(found.clock_status[row]),
            int(found.quality[row]),
            tuple(
                None if nulls[q, row] else int(found.values[q, row])
                for q in range(len(found.quantities))
            ),
        )
        for row in range(len(found))
    ]


def one_meter() -> Section:
    rows = MeterRows(
        "HES00000001",
        [MIDNIGHT, MIDNIGHT + 900],
        [0, 0x80],
        [0, 1],
        [[1000, 1025], [2301, None], [-7, -9]],
    )
    return Section(LOAD_PROFILE, MIDNIGHT + 960, (ENERGY, VOLTAGE, ODD), [rows])


def test_byte_exact_vector() -> None:
    encoding, body = encode([one_meter()])
    assert encoding is Encoding.COLUMNS
    assert body.hex() == VECTOR


def test_every_truncation_is_refused() -> None:
    _, body = encode([one_meter()])
    for cut in range(len(body)):
        with pytest.raises(Refused):
            columns.decode(body[:cut], Encoding.COLUMNS)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    quantities = tuple(draw(st.lists(st.sampled_from([ENERGY, VOLTAGE, ODD]), max_size=4)))
    rows = []
    for number in range(draw(st.integers(1, 4))):
        count = draw(st.integers(1, 5))
        column = st.lists(st.none() | INT64, min_size=count, max_size=count)
        rows.append(
            MeterRows(
                f"M{number}",
                draw(st.lists(st.integers(0, 1 << 40), min_size=count, max_size=count)),
                draw(st.lists(st.integers(0, 255), min_size=count, max_size=count)),
                draw(st.lists(st.integers(0, 0xFFFF), min_size=count, max_size=count)),
                [draw(column) for _ in quantities],
            )
        )
    return Section(draw(st.binary(min_size=6, max_size=6)), MIDNIGHT, quantities, rows)


@given(st.lists(sections(), max_size=3))
def test_round_trip(original: list[Section]) -> None:
    encoding, body = encode(original)
    decoded = columns.decode(body, encoding)
    assert [rows_of_columns(found) for found in decoded] == list(map(rows_of, original))
    assert [found.received_at for found in decoded] == [s.received_at for s in original]
    assert [found.quantities for found in decoded] == [s.quantities for s in original]


@given(st.binary(max_size=200), st.sampled_from([Encoding.COLUMNS, Encoding.COLUMNS_ZSTD]))
def test_noise_is_refused_and_nothing_else(noise: bytes, encoding: Encoding) -> None:
    try:
        columns.decode(noise, encoding)
    except Refused:
        return
    assert noise[:1] == b"\x00"


def test_a_few_octets_cannot_claim_a_flood_of_rows() -> None:
    one_section_one_meter = bytes.fromhex("010100010141")
    flood = one_section_one_meter + b"\x40\xfe\xff\xff\xff\x0f"
    with pytest.raises(Refused, match="more than a batch may hold"):
        columns.decode(flood + bytes(40), Encoding.COLUMNS)


def test_a_few_octets_cannot_claim_a_flood_of_meters() -> None:
    names = b"\x01\x01\x00" + uvarint(20_000_000) + bytes(20_000_000)
    with pytest.raises(Refused, match="20000000 meters"):
        columns.decode(names, Encoding.COLUMNS)


def realistic(meters: int, seed: int) -> Section:
    """Six quarter hours of households: energies advance with a log-normal load."""
    chance = random.Random(seed)
    unit = {1: 30, 2: 30, 3: 32, 9: 31}
    quantities = (
        *(Quantity(bytes((1, 0, c, 8, 0, 255)), 0, u) for c, u in unit.items()),
        *(Quantity(bytes((1, 0, c, 7, 0, 255)), -1, 35) for c in (32, 52, 72)),
        Quantity(bytes((1, 0, 1, 7, 0, 255)), 0, 27),
    )
    rows = []
    for _ in range(meters):
        active, reactive, apparent = (chance.randrange(10**6, 10**7) for _ in range(3))
        exported = chance.choice((0, 0, 0, chance.randrange(10**6)))
        table = []
        for _ in range(6):
            load_w = int(chance.lognormvariate(5.5, 0.8))
            active, reactive, apparent = (
                active + load_w // 4,
                reactive + load_w // 12,
                apparent + int(load_w * 0.27),
            )
            volts = [2300 + int(chance.gauss(0, 18)) for _ in range(3)]
            table.append([active, exported, reactive, apparent, *volts, load_w])
        rows.append(
            MeterRows(
                f"HES{chance.randrange(10**8):08d}",
                [MIDNIGHT + 900 * row for row in range(6)],
                [0] * 6,
                [0] * 6,
                [list(column) for column in zip(*table, strict=True)],
            )
        )
    return Section(LOAD_PROFILE, MIDNIGHT + 5400, quantities, rows)


@pytest.mark.parametrize(("meters", "octets_per_reading"), [(100, 12.0), (1, 25.0)])
def test_octets_per_reading(meters: int, octets_per_reading: float) -> None:
    """The sizes that the design promises, batch identity included, over twenty seeds."""
    sizes = []
    for seed in range(20):
        encoding, body = encode([realistic(meters, seed)])
        sizes.append(len(batch.seal(Kind.READINGS, encoding, "00" * 8, seed, body)))
    assert sum(sizes) / len(sizes) / (meters * 6) <= octets_per_reading


def test_json_form_gives_the_same_columns() -> None:
    payload = b"""{"kind":"readings","version":1,"received_at":"2026-09-21T14:15:00Z","readings":[
      {"meter":"M1","captured_at":"2026-09-21T14:00:00Z","values":{"1.0.1.8.0.255":[1000,0,30]}},
      {"meter":"M1","captured_at":"2026-09-21T13:45:00Z","values":{"1.0.1.8.0.255":[990,0,30]}},
      {"meter":"M2","captured_at":"2026-09-21T14:00:00Z","values":{"1.0.1.8.0.255":[null,0,30]}}]}"""
    parsed = readings_json.parse(payload)
    assert parsed.received_at is not None
    (found,) = json_columns.sections(parsed, parsed.received_at)
    assert rows_of_columns(found) == [
        ("M1", CAPTURED - 900, 0, 0, (990,)),
        ("M1", CAPTURED, 0, 0, (1000,)),
        ("M2", CAPTURED, 0, 0, (None,)),
    ]
    assert (found.profile, found.received_at) == (LOAD_PROFILE, CAPTURED + 900)
    assert found.quantities == (ENERGY,)


def test_json_readings_of_several_kinds_are_several_sections() -> None:
    payload = b"""{"kind":"readings","version":1,"readings":[
      {"meter":"M1","captured_at":"2026-09-21T14:00:00Z","values":{"1.0.1.8.0.255":[1,0,30]}},
      {"meter":"M1","captured_at":"2026-09-21T14:00:00Z","profile":"1.0.99.2.0.255",
       "clock_status":128,"quality":4,"values":{"1.0.1.8.0.255":[2,0,30]}},
      {"meter":"M1","captured_at":"2026-09-21T14:00:00Z","values":{"1.0.1.8.0.255":[3,1,30]}}]}"""
    parsed = readings_json.parse(payload)
    found = json_columns.sections(parsed, parsed.readings[0].captured_at)
    assert [rows_of_columns(section)[0][2:] for section in found] == [
        (0, 0, (1,)),
        (128, 4, (2,)),
        (0, 0, (3,)),
    ]
    assert [section.quantities[0].scaler for section in found] == [0, 0, 1]
    assert found[1].profile == bytes((1, 0, 99, 2, 0, 255))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"kind":"readings","version":2,"readings":[]}', "version 2"),
        (b'{"kind":"readings"', "truncated"),
        (b'{"kind":"readings","version":1,"readings":[{"meter":"M"}]}', "captured_at"),
        (b'{"kind":"readings","version":1,"readings":[],"extra":1}', "extra"),
        (
            (
                b'{"kind":"readings","version":1,"readings":[{"meter":"M",'
                b'"captured_at":"2026-01-01T00:00:00","values":{}}]}'
            ),
            "timezone",
        ),
    ],
)
def test_json_mistakes_are_named(payload: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        readings_json.parse(payload)


@pytest.mark.parametrize(
    ("meter", "name", "value", "reason"),
    [
        ("", "1.0.1.8.0.255", "[1,0,30]", "cannot name a meter"),
        ("M/1", "1.0.1.8.0.255", "[1,0,30]", "cannot name a meter"),
        ("M", "1.0.1.8.0", "[1,0,30]", "no logical name"),
        ("M", "01.0.1.8.0.255", "[1,0,30]", "no logical name"),
        ("M", "1_0.0.1.8.0.255", "[1,0,30]", "no logical name"),
        ("M", "1.0.1.8.0.255", "[9223372036854775808,0,30]", "outside signed 64 bit"),
        ("M", "1.0.1.8.0.255", "[1,200,30]", "signed octet"),
        ("M", "1.0.1.8.0.255", "[1,0,300]", "between 0 and 255"),
    ],
)
def test_json_values_that_cannot_be(meter: str, name: str, value: str, reason: str) -> None:
    reading = (
        f'{{"meter":"{meter}","captured_at":"2026-01-01T00:00:00Z","values":{{"{name}":{value}}}}}'
    )
    payload = f'{{"kind":"readings","version":1,"readings":[{reading}]}}'.encode()
    parsed = readings_json.parse(payload)
    with pytest.raises(Refused, match=reason):
        json_columns.sections(parsed, parsed.readings[0].captured_at)


VECTOR = (
    "0101030191ff800700030100ff0dfe010b4845533030303030303031400440c8ef89ab0d40880e800f01"
    "008001000140d00f4032800240fa2300400d4003"
)
