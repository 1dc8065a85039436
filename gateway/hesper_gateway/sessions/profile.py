"""Reading a profile generic (IEC 62056-6-2, class 7) from the last stored capture to now.

The capture objects (attribute 3), the period (attribute 4) and the order of the rows (attribute 5)
are read from the meter at every visit, in the association that reads the buffer, so that a meter
that was set up anew is never decoded by its old columns.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

from hesper_contracts.readings import MeterRows, Quantity, Section
from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute, EntrySelector, RangeSelector
from hesper_dlms.apdu.descriptors import read_capture_object
from hesper_dlms.axdr import Data
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.profile import BufferRules, ProfileColumns, decode_buffer, doubled_around

from hesper_gateway.errors import MeterDistrusted, MeterRefused
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal
from hesper_gateway.sessions.clock import CLOCK_CLASS, ClockPolicy, RowClock, as_utc, quality_of
from hesper_gateway.sessions.left_out import LeftOut, nameless, travelling
from hesper_gateway.sessions.quantities import PLAIN_COUNT, is_named
from hesper_gateway.sessions.windows import Stretch, Windows
from hesper_gateway.templates.model import LimitsTemplate

log = logging.getLogger(__name__)

PROFILE_CLASS = 7
BILLING_DATE = obis.parse("0.0.0.1.2.255")
"""What billing profiles capture in place of the clock (IEC 62056-6-1, 7.5.2; IS 15959)."""
_BUFFER, _CAPTURE_OBJECTS, _CAPTURE_PERIOD, _SORT_METHOD = 2, 3, 4, 5
_LONGEST_PERIOD_S = 366 * 86400
_UNTIMED_WINDOW_S = 30 * 86400


@dataclass(frozen=True, slots=True)
class Shape:
    """What one profile captures, in column order, and how often."""

    profile: bytes
    columns: tuple[CosemAttribute, ...]
    capture_period_s: int
    newest_first: bool = False
    keeps_all: bool = False
    """Whether rows that are alike in time are rows of their own, as in an event log."""

    @property
    def clock_column(self) -> int | None:
        """Where the clock, or else the billing date, is captured; None when neither is."""
        values = [(at, each) for at, each in enumerate(self.columns) if each.attribute_id == 2]
        clocks = [at for at, each in values if each.class_id == CLOCK_CLASS]
        dates = [at for at, each in values if each.logical_name == BILLING_DATE]
        return next(iter(clocks + dates), None)

    @property
    def valued(self) -> list[tuple[int, CosemAttribute]]:
        """The columns that are not the clock, with their index."""
        clock = self.clock_column
        return [(index, column) for index, column in enumerate(self.columns) if index != clock]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decoded rows, ascending in time, one list per column of `Shape.valued`."""

    captured_at: list[int]
    clock_status: list[int]
    columns: list[list[int | None]]
    left_out: LeftOut = field(default_factory=LeftOut)


async def read_shape(association: Association, profile: bytes) -> Shape:
    """Read capture objects, capture period and order.

    Raises:
        MeterFailed: they cannot be read, or the profile captures no clock.
    """
    numbers = (_CAPTURE_OBJECTS, _CAPTURE_PERIOD, _SORT_METHOD)
    objects, period, order = await association.get_each(
        [CosemAttribute(PROFILE_CLASS, profile, number) for number in numbers]
    )
    try:
        columns = tuple(read_capture_object(item)[0] for item in _given(objects).as_items())
        period_s = _given(period).as_int()
    except DecodeError as error:
        raise MeterDistrusted(f"capture objects: {error}") from error
    except ServiceError as error:
        raise refusal(error, "capture objects") from error
    if not 0 <= period_s <= _LONGEST_PERIOD_S:
        raise MeterDistrusted(f"a capture period of {period_s} s")
    shape = Shape(profile, columns, period_s, _is_newest_first(order))
    if shape.clock_column is None:
        raise MeterRefused("the profile captures no clock")
    return shape


async def read_oldest(association: Association, shape: Shape, clock: RowClock) -> int | None:
    """Return when the oldest row was captured; None when the meter cannot be asked that way."""
    if shape.newest_first:
        return None  # entry 1 is the newest, and which is the last nobody knows
    try:
        octets = await association.get_octets(_buffer_of(shape), EntrySelector(1, 1))
        rows = decode(octets, shape, clock.policy, clock.present())
    except (ServiceError, MeterDistrusted):
        return None
    return min(rows.captured_at, default=None)


async def read_windows(
    association: Association,
    shape: Shape,
    clock: RowClock,
    wanted: Stretch,
    limits: LimitsTemplate,
) -> AsyncGenerator[Rows, None]:
    """Yield the rows of a stretch, oldest first, about ``limits.rows_per_chunk`` at a time.

    A meter without selective access sends its whole buffer, of which the stretch is kept.

    Raises:
        MeterFailed: the meter cannot be read; what was yielded before stays good.
    """
    if limits.selective_access == "none":
        octets = await _buffer(association, shape)
        rows = _within(decode(octets, shape, clock.policy, clock.present()), wanted)
        if rows.captured_at:
            yield rows
        return
    window_s = shape.capture_period_s * limits.rows_per_chunk or _UNTIMED_WINDOW_S
    windows = Windows(wanted, window_s, limits.rows_per_chunk)
    for start, end in windows:
        selector = RangeSelector(
            *_as_meter_writes(start, end, clock),
            shape.columns[shape.clock_column or 0],
        )
        octets = await _buffer(association, shape, selector)
        rows = decode(octets, shape, clock.policy, clock.present())
        windows.took(len(rows.captured_at))
        if rows.captured_at:
            yield rows


async def _buffer(
    association: Association, shape: Shape, selector: RangeSelector | None = None
) -> bytes:
    try:
        return await association.get_octets(_buffer_of(shape), selector)
    except ServiceError as error:
        raise refusal(error, "the profile cannot be read") from error


def _within(rows: Rows, wanted: Stretch) -> Rows:
    chosen = [
        index for index, at in enumerate(rows.captured_at) if wanted.start <= at <= wanted.end
    ]
    return replace(
        rows,
        captured_at=[rows.captured_at[index] for index in chosen],
        clock_status=[rows.clock_status[index] for index in chosen],
        columns=[[column[index] for index in chosen] for column in rows.columns],
    )


def decode(
    octets: bytes, shape: Shape, policy: ClockPolicy, present_s: float | None = None
) -> Rows:
    """Return the rows of an encoded buffer in ascending order of time.

    ``present_s`` is the meter's own time when it was read.

    Raises:
        MeterDistrusted: the octets are not what the capture objects promise.
    """
    try:
        rules = BufferRules(policy.wrong_sign, shape.newest_first, present_s=present_s)
        clock = shape.clock_column or 0
        found = decode_buffer(octets, shape.capture_period_s, clock, policy.zone, rules)
    except DecodeError as error:
        raise MeterDistrusted(f"profile buffer: {error}") from error
    if found.undated:
        log.warning("%s: %d rows name no time", obis.text(shape.profile), found.undated)
    if not found.captured_at:
        return Rows([], [], [[] for _ in shape.valued])
    if len(found.columns) != len(shape.columns):
        raise MeterDistrusted(
            f"profile buffer: rows of {len(found.columns)} columns, "
            f"{len(shape.columns)} capture objects"
        )
    return _ascending(found, shape)


def section(
    meter: str, shape: Shape, quantities: list[Quantity | None], rows: Rows, received_at: float
) -> Section:
    """Return rows as they travel; a column without a known unit keeps its plain numbers."""
    named = tuple(
        quantity or Quantity(column.logical_name, PLAIN_COUNT.scaler, int(PLAIN_COUNT.unit))
        for quantity, (_, column) in zip(quantities, shape.valued, strict=True)
    )
    told = [
        (quantity, values)
        for quantity, values in zip(named, rows.columns, strict=True)
        if any(value is not None for value in values)
    ]
    row = MeterRows(
        meter=meter,
        captured_at=rows.captured_at,
        clock_status=rows.clock_status,
        quality=[int(quality_of(status)) for status in rows.clock_status],
        values=[values for _, values in told],
    )
    return Section(shape.profile, int(received_at), tuple(q for q, _ in told), [row])


def _is_newest_first(order: Data | ServiceError) -> bool:
    """Return what the sort method says; a meter that does not tell it has its oldest row first."""
    try:
        return BufferRules.of_sort_method(_given(order).as_int()).newest_first
    except (DecodeError, ServiceError):
        return False


def _given(value: Data | ServiceError) -> Data:
    if isinstance(value, ServiceError):
        raise value
    return value


def _buffer_of(shape: Shape) -> CosemAttribute:
    return CosemAttribute(PROFILE_CLASS, shape.profile, _BUFFER)


def _as_meter_writes(start: int, end: int, clock: RowClock) -> tuple[CosemDateTime, CosemDateTime]:
    """Return both ends of a range with the deviation that the meter's own clock shows.

    Where it shows none, a doubled hour is asked for as a whole: a meter that compares local times
    would leave out its second half as being before the range, and only whole does it tell, by the
    order of its rows, which of both hours they are of.
    """
    policy, deviation_minutes = clock.policy, clock.deviation_minutes
    if deviation_minutes is None or policy.wrong_sign:
        first, _ = doubled_around(as_utc(start), policy.zone)
        _, last = doubled_around(as_utc(end), policy.zone)
        return (
            CosemDateTime.from_datetime(first).without_deviation(),
            CosemDateTime.from_datetime(last).without_deviation(),
        )
    return (
        CosemDateTime.from_datetime(as_utc(start), deviation_minutes=deviation_minutes),
        CosemDateTime.from_datetime(as_utc(end), deviation_minutes=deviation_minutes),
    )


def _ascending(found: ProfileColumns, shape: Shape) -> Rows:
    """Order rows by time; of those that are alike in everything one is kept, or all."""
    left_out = LeftOut()
    columns = [
        _travelling(found.columns[place], column, shape, left_out) for place, column in shape.valued
    ]
    rows = list(zip(found.captured_at, found.clock_status, *columns, strict=True))
    order = _order(found.captured_at, rows, shape)
    return Rows(
        captured_at=[found.captured_at[index] for index in order],
        clock_status=[found.clock_status[index] for index in order],
        columns=[[column[index] for index in order] for column in columns],
        left_out=left_out,
    )


def _travelling(
    values: Sequence[object], column: CosemAttribute, shape: Shape, left_out: LeftOut
) -> list[int | None]:
    """Return the numbers of a column that travel."""
    name = column.logical_name
    if not is_named(column, shape.columns):
        return nameless(values, name, left_out)
    return [travelling(value, name, left_out) for value in values]


def _order(
    captured_at: Sequence[int], rows: Sequence[tuple[int | None, ...]], shape: Shape
) -> list[int]:
    """Return the indexes of rows, ascending in time; rows of one second keep their order.

    A meter whose clock was set back captures the same second twice: both rows are kept, unless they
    are alike in all that travels.
    """
    came = range(len(rows) - 1, -1, -1) if shape.newest_first else range(len(rows))
    kept = came if shape.keeps_all else {rows[index]: index for index in came}.values()
    return sorted(kept, key=captured_at.__getitem__)
