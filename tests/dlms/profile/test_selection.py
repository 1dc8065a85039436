"""Columns that a meter leaves out of a buffer because nobody asked for them."""

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    CLOCK_TIME,
    AccessSelection,
    CaptureObject,
    EntrySelector,
    RangeSelector,
    selector_of,
)
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.server.selection import select_columns

CLOCK = CaptureObject.of(CLOCK_TIME)
ENERGY = CaptureObject(3, obis.ACTIVE_ENERGY_IMPORT, 2)
POWER = CaptureObject(3, obis.ACTIVE_POWER_IMPORT, 2)
CAPTURED = axdr.encode(axdr.array(*(each.to_data() for each in (CLOCK, ENERGY, POWER))))
ANY_TIME = CosemDateTime.from_octets(b"\xff" * 12)


def buffer(*columns: int) -> bytes:
    rows = ((axdr.null_data(), axdr.unsigned(n), axdr.long_(-n)) for n in range(3))
    return axdr.encode(
        axdr.array(*(axdr.structure(*(row[place] for place in columns)) for row in rows))
    )


def selection(*columns: CaptureObject) -> AccessSelection:
    return RangeSelector(ANY_TIME, ANY_TIME, CLOCK_TIME, columns).to_selection()


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        (None, (0, 1, 2)),
        (selection(), (0, 1, 2)),
        (selection(POWER, CLOCK), (0, 2)),
        (selection(ENERGY), (1,)),
        (EntrySelector(1).to_selection(), (0, 1, 2)),
        (EntrySelector(1, 0, 2, 0).to_selection(), (1, 2)),
        (EntrySelector(1, 0, 1, 2).to_selection(), (0, 1)),
        (EntrySelector(1, 0, 3, 3).to_selection(), (2,)),
    ],
)
def test_columns_in_the_order_of_capture(
    asked: AccessSelection | None, columns: tuple[int, ...]
) -> None:
    assert select_columns(buffer(0, 1, 2), asked, CAPTURED) == buffer(*columns)


@pytest.mark.parametrize(
    "asked",
    [
        selection(CaptureObject(3, obis.VOLTAGE_L1, 2)),
        selection(CaptureObject(3, obis.ACTIVE_POWER_IMPORT, 3)),
        EntrySelector(1, 0, 0, 2).to_selection(),
        EntrySelector(1, 0, 3, 2).to_selection(),
        EntrySelector(1, 0, 1, 4).to_selection(),
    ],
)
def test_columns_that_are_not_captured(asked: AccessSelection) -> None:
    with pytest.raises(ServiceError):
        select_columns(buffer(0, 1, 2), asked, CAPTURED)


def test_a_range_comes_back_with_its_columns() -> None:
    both = RangeSelector(ANY_TIME, ANY_TIME, CLOCK_TIME, (CLOCK, ENERGY._replace(data_index=2)))
    assert selector_of(both.to_selection()) == both
    broken = AccessSelection(1, axdr.structure(*both.to_selection().parameters.as_items()[:2]))
    with pytest.raises(DecodeError):
        selector_of(broken)
    nothing = axdr.structure(*both.to_selection().parameters.as_items()[:3], axdr.null_data())
    assert selector_of(AccessSelection(1, nothing)) == both._replace(columns=())
