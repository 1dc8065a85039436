"""A profile read by the client from our own server: shape, range, columns, units, oddities."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    CLOCK_TIME,
    AccessSelection,
    CaptureObject,
    CosemAttribute,
    DataAccessResult,
    EntrySelector,
    RangeSelector,
    selector_of,
)
from hesper_dlms.client import Client
from hesper_dlms.client.profiles import Profile, read_profile, read_rows, read_shape
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, LocalError, ServiceError
from hesper_dlms.profile import BufferRules
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink
from hesper_dlms.units import ScalerUnit, Unit

START = datetime(2026, 11, 21, 10, tzinfo=UTC)
ENERGY = CaptureObject(3, obis.ACTIVE_ENERGY_IMPORT, 2)
POWER = CaptureObject(4, obis.ACTIVE_POWER_IMPORT, 2)
DEMAND = CaptureObject(5, obis.parse("1.0.1.4.0.255"), 3)
CLOCK = CaptureObject.of(CLOCK_TIME)
COLUMNS = (ENERGY, CLOCK, POWER, DEMAND)
ROWS = 8


def value(number: int) -> CosemAttribute:
    return CosemAttribute(7, obis.LOAD_PROFILE_1, number)


class ProfileMeter:
    """A meter with one profile, as well or badly behaved as a test wants it."""

    def __init__(self, base: Any) -> None:
        self.system_title, self.security, self.clients = (
            base.system_title,
            base.security,
            base.clients,
        )
        self.ignores_columns = False
        self.newest_first = False
        self.null_clocks = False
        self.asked: list[AccessSelection | None] = []
        self.values: dict[CosemAttribute, axdr.Data] = {
            value(3): axdr.array(*(each.to_data() for each in COLUMNS)),
            value(4): axdr.double_long_unsigned(900),
            value(5): axdr.enum(1),
            value(6): CLOCK.to_data(),
            CosemAttribute(3, ENERGY.logical_name, 3): ScalerUnit(-3, Unit.WATT_HOUR).to_data(),
            CosemAttribute(5, DEMAND.logical_name, 4): ScalerUnit(0, Unit.WATT).to_data(),
        }

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        if attribute == value(2):
            self.asked.append(selection)
            return axdr.encode(self._buffer(selection))
        if attribute not in self.values:
            raise ServiceError(DataAccessResult.OBJECT_UNDEFINED)
        return axdr.encode(self.values[attribute])

    def _buffer(self, selection: AccessSelection | None) -> axdr.Data:
        rows, columns = list(range(ROWS)), range(len(COLUMNS))
        selector = None if selection is None else selector_of(selection)
        if isinstance(selector, RangeSelector):
            first, last = (each.resolve(UTC).captured_at for each in (selector.from_, selector.to))
            rows = [row for row in rows if first <= _time(row) <= last]
            wanted = selector.columns or COLUMNS
            columns = [index for index in columns if COLUMNS[index] in wanted]
        elif selector is not None:
            rows = rows[selector.from_entry - 1 : selector.to_entry or None]
            columns = columns[selector.from_column - 1 : selector.to_column or None]
        if self.ignores_columns:
            columns = range(len(COLUMNS))
        ordered = rows[::-1] if self.newest_first else rows
        return axdr.array(*(self._row(row, row != ordered[0], columns) for row in ordered))

    def _row(self, row: int, may_thin: bool, columns: Any) -> axdr.Data:
        clock = axdr.octet_string(CosemDateTime.from_datetime(_time(row)).to_octets())
        cells = (
            axdr.double_long_unsigned(1000 * row),
            axdr.null_data() if may_thin and self.null_clocks else clock,
            axdr.long_(-row),
            axdr.long_unsigned(7),
        )
        return axdr.structure(*(cells[index] for index in columns))

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        raise ServiceError(DataAccessResult.READ_WRITE_DENIED)

    def action(self, client: int, method: Any, octets: bytes | None) -> bytes | None:
        raise ServiceError(DataAccessResult.READ_WRITE_DENIED)


def _time(row: int) -> datetime:
    return START + timedelta(minutes=15 * row)


Run = Callable[[Any], Any]


@pytest.fixture
def meter(bench: Any) -> ProfileMeter:
    return ProfileMeter(bench.Meter())


@pytest.fixture
def client(bench: Any) -> Client:
    settings = bench.settings(2)
    return Client(settings.over_wrapper(), settings)


@pytest.fixture
def run(bench: Any, meter: ProfileMeter, client: Client) -> Run:
    connection = ServerConnection(LogicalServer(meter), WrapperServerLink(1))

    def run(exchange: Any) -> Any:
        return bench.run(exchange, connection.receive)

    run(client.connect())
    return run


def between(first: int, last: int, *columns: CaptureObject) -> RangeSelector:
    bounds = (CosemDateTime.from_datetime(_time(row)) for row in (first, last))
    return RangeSelector(*bounds, columns=columns)


def test_a_whole_profile(run: Run, client: Client) -> None:
    profile: Profile = run(read_profile(client, obis.LOAD_PROFILE_1, UTC))
    assert profile.captured_at == [int(_time(row).timestamp()) for row in range(ROWS)]
    assert [column.captured for column in profile.columns] == list(COLUMNS)
    assert [column.scaler_unit for column in profile.columns] == [
        ScalerUnit(-3, Unit.WATT_HOUR),
        None,  # the clock
        None,  # the meter does not tell
        ScalerUnit(0, Unit.WATT),
    ]
    assert profile.columns[0].values == [1000 * row for row in range(ROWS)]
    assert profile.columns[1].values == profile.captured_at
    assert profile.how == ["deviation"] * ROWS
    assert axdr.decode(profile.octets).as_items()


@pytest.mark.parametrize("ignores_columns", [False, True])
def test_a_range_of_some_columns(
    run: Run, client: Client, meter: ProfileMeter, ignores_columns: bool
) -> None:
    meter.ignores_columns = ignores_columns
    selector = between(2, 4, POWER, CLOCK)
    profile: Profile = run(read_profile(client, obis.LOAD_PROFILE_1, UTC, selector))
    assert meter.asked[0] is not None
    assert selector_of(meter.asked[0]) == selector
    assert [column.captured for column in profile.columns] == [CLOCK, POWER]
    assert profile.columns[1].values == [-2, -3, -4]


@pytest.mark.parametrize("ignores_columns", [False, True])
def test_entries_of_some_columns(
    run: Run, client: Client, meter: ProfileMeter, ignores_columns: bool
) -> None:
    meter.ignores_columns = ignores_columns
    selector = EntrySelector(3, 4, 2, 3)
    profile: Profile = run(read_profile(client, obis.LOAD_PROFILE_1, UTC, selector))
    assert [column.captured for column in profile.columns] == [CLOCK, POWER]
    assert profile.columns[1].values == [-2, -3]


def test_no_rows(run: Run, client: Client) -> None:
    profile: Profile = run(read_profile(client, obis.LOAD_PROFILE_1, UTC, between(90, 91)))
    assert (profile.captured_at, profile.columns[0].values) == ([], [])


@pytest.mark.parametrize(
    ("sort_method", "sorted_by_clock"), [(2, True), (3, True), (3, False), (None, True)]
)
def test_the_newest_first(
    run: Run,
    client: Client,
    meter: ProfileMeter,
    sort_method: int | None,
    sorted_by_clock: bool,
) -> None:
    meter.newest_first = meter.null_clocks = True
    meter.values[value(5)] = axdr.null_data() if sort_method is None else axdr.enum(sort_method)
    if not sorted_by_clock:
        meter.values[value(6)] = POWER.to_data()
    known = BufferRules(newest_first=True) if sort_method is None else None
    shape = run(read_shape(client, obis.LOAD_PROFILE_1, known))
    profile: Profile = run(read_rows(client, shape, UTC))
    ascending = [int(_time(row).timestamp()) for row in range(ROWS)]
    if sorted_by_clock:
        assert profile.captured_at == ascending[::-1]
        assert profile.how == ["deviation"] + ["counted"] * (ROWS - 1)
    else:
        assert profile.captured_at[0] == ascending[-1]
        assert profile.captured_at[1] > ascending[-1]


def test_the_range_names_the_clock_that_is_captured(
    run: Run, client: Client, meter: ProfileMeter
) -> None:
    other = CaptureObject(8, obis.parse("1.0.1.0.0.255"), 2)
    columns = (ENERGY, other, POWER, DEMAND)
    meter.values[value(3)] = axdr.array(*(each.to_data() for each in columns))
    run(read_profile(client, obis.LOAD_PROFILE_1, UTC, between(0, 1)))
    asked = selector_of(meter.asked[0])
    assert isinstance(asked, RangeSelector)
    assert asked.clock == other.attribute


def test_a_period_of_zero_leaves_null_clocks_undated(
    run: Run, client: Client, meter: ProfileMeter
) -> None:
    meter.values[value(4)] = axdr.double_long_unsigned(0)
    run(read_profile(client, obis.LOAD_PROFILE_1, UTC))
    meter.null_clocks = True
    with pytest.raises(DecodeError, match="capture period is 0"):
        run(read_profile(client, obis.LOAD_PROFILE_1, UTC))


def test_selections_that_make_no_sense_are_our_mistake(run: Run, client: Client) -> None:
    stranger = CaptureObject(3, obis.VOLTAGE_L1, 2)
    for selector in (between(0, 1, POWER), between(0, 1, CLOCK, stranger), EntrySelector(1, 2, 3)):
        with pytest.raises(LocalError):
            run(read_profile(client, obis.LOAD_PROFILE_1, UTC, selector))


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (3, axdr.unsigned(1)),
        (3, axdr.array(axdr.structure(axdr.unsigned(1)))),
        (3, axdr.array(POWER.to_data())),
        (4, axdr.double_long(-1)),
        (5, axdr.enum(9)),
    ],
)
def test_shapes_that_make_no_sense_are_told(
    run: Run, client: Client, meter: ProfileMeter, number: int, data: axdr.Data
) -> None:
    meter.values[value(number)] = data
    with pytest.raises(DecodeError):
        run(read_profile(client, obis.LOAD_PROFILE_1, UTC))


def test_rows_of_another_width_than_promised(run: Run, client: Client, meter: ProfileMeter) -> None:
    meter.values[value(3)] = axdr.array(ENERGY.to_data(), CLOCK.to_data())
    with pytest.raises(DecodeError, match="rows of 4 columns where 2"):
        run(read_profile(client, obis.LOAD_PROFILE_1, UTC))


def test_a_profile_that_is_refused(run: Run, client: Client, meter: ProfileMeter) -> None:
    del meter.values[value(4)]
    with pytest.raises(ServiceError):
        run(read_profile(client, obis.LOAD_PROFILE_1, UTC))
