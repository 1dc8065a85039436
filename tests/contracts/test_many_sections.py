"""A batch has no more sections than its octets justify: each costs its price, whatever it holds."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hesper_contracts import columns, json_columns, readings
from hesper_contracts.frame import Encoding, Refused
from hesper_contracts.readings import (
    LOAD_PROFILE,
    MAX_SECTIONS,
    SECTIONS_ALWAYS,
    MeterRows,
    Section,
    most_sections,
)
from hesper_contracts.streams import uvarint


def empty(count: int) -> list[Section]:
    """Return sections of one row without quantities, the least that there is."""
    rows = [MeterRows("M", [1_700_000_000], [0], [0], [])]
    return [Section(LOAD_PROFILE, 1_700_000_000, (), rows)] * count


def test_thousands_of_sections_in_a_few_octets_are_refused_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoding, body = readings.encode(empty(5000))
    assert (encoding, len(body) < 1000) == (Encoding.COLUMNS_ZSTD, True)
    monkeypatch.setattr(columns, "_section", None)
    monkeypatch.setattr(columns, "_short", None)
    with pytest.raises(Refused, match=f"5000 sections .* at most {most_sections(len(body))}"):
        columns.decode(body, encoding)


def test_sections_are_counted_by_octets_and_never_beyond_the_most() -> None:
    assert most_sections(0) == SECTIONS_ALWAYS
    assert most_sections(100) == SECTIONS_ALWAYS + 50
    assert most_sections(1 << 22) == MAX_SECTIONS
    with pytest.raises(Refused, match="sections"):
        columns.decode(uvarint(MAX_SECTIONS + 1) + bytes(1 << 16), Encoding.COLUMNS)


def test_any_batch_may_have_some_and_an_uncompressed_one_as_many_as_it_can_hold() -> None:
    assert len(columns.decode(*reversed(readings.encode(empty(SECTIONS_ALWAYS))))) == 64
    body = readings.encode(empty(1))[1][1:]
    whole = uvarint(MAX_SECTIONS) + body * MAX_SECTIONS
    found = columns.decode(whole, Encoding.COLUMNS)
    assert len(found) == MAX_SECTIONS
    assert np.array_equal(found[-1].captured_at, [1_700_000_000])


def json_batch(sets: int) -> bytes:
    """Return a JSON batch of readings, each with a quantity of its own."""
    told = [
        {
            "meter": "M",
            "captured_at": "2026-09-21T14:00:00Z",
            "values": {f"1.0.1.{number >> 8}.{number & 255}.255": [1, 0, 30]},
        }
        for number in range(sets)
    ]
    return json.dumps({"kind": "readings", "version": 1, "readings": told}).encode()


def test_a_json_batch_has_no_more_sections_than_any_other() -> None:
    now = datetime(2026, 9, 21, 15, tzinfo=UTC)
    assert len(json_columns.open_(json_batch(MAX_SECTIONS), now).sections) == MAX_SECTIONS
    with pytest.raises(Refused, match="4097 sets of quantities"):
        json_columns.open_(json_batch(MAX_SECTIONS + 1), now)
