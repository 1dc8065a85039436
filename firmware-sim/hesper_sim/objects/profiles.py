"""The profiles of a meter (class 7): load, daily and monthly values, and the event logs.

Rows leave oldest first. A range selects by the clock column, entries count from 1 for the oldest.
Daily and monthly rows are computed: what the registers stood at when the day or month began, as
far back as the meter's past goes. The logs of one kind of event show their part of the standard
log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    CLOCK_TIME,
    AccessSelection,
    CosemAttribute,
    DataAccessResult,
    EntrySelector,
    capture_object,
    selector_of,
)
from hesper_dlms.errors import ServiceError
from hesper_dlms.profile import encode_buffer
from hesper_dlms.server.selection import select_columns

from hesper_sim.buffers import Row
from hesper_sim.district import PROFILE_COLUMNS
from hesper_sim.event_codes import DISCONNECTOR, FRAUD, POWER_QUALITY, EventCode
from hesper_sim.faults import Fault
from hesper_sim.meter import EVENT_DEPTH
from hesper_sim.objects.clock import rule_of
from hesper_sim.objects.cosem_object import (
    DATA,
    PROFILE_GENERIC,
    REGISTER,
    CosemObject,
    Subject,
    computed,
)
from hesper_sim.objects.cosem_object import fixed as fixed_reader
from hesper_sim.zones import ClockRule, time_octets, zone_by

SORTED_FIFO: Final = 1
DAILY: Final = obis.LOAD_PROFILE_2
MONTHLY: Final = obis.parse("0.0.98.1.0.255")
FRAUD_LOG: Final = obis.parse("0.0.99.98.1.255")
DISCONNECTOR_LOG: Final = obis.parse("0.0.99.98.2.255")
POWER_QUALITY_LOG: Final = obis.parse("0.0.99.98.4.255")
_FAR_FUTURE: Final = 1 << 40
_DAY_S: Final = 86_400
_DAY: Final = timedelta(days=1)
_LOAD_TAGS: Final = (
    *(axdr.Tag.DOUBLE_LONG_UNSIGNED,) * 4,
    *(axdr.Tag.LONG_UNSIGNED,) * 3,
    axdr.Tag.DOUBLE_LONG_UNSIGNED,
)
_BILLING_COLUMNS: Final = PROFILE_COLUMNS[:4]
_BILLING_TAGS: Final = _LOAD_TAGS[:4]
_EVENT_TAGS: Final = (axdr.Tag.LONG_UNSIGNED,)
_SORT_OBJECT: Final = axdr.encode(capture_object(CLOCK_TIME))


def _captured(*attributes: CosemAttribute) -> bytes:
    return axdr.encode(axdr.array(*(capture_object(each) for each in (CLOCK_TIME, *attributes))))


@cache
def _registers(names: tuple[bytes, ...]) -> bytes:
    return _captured(*(CosemAttribute(REGISTER, name, 2) for name in names))


_EVENT_CAPTURED: Final = _captured(CosemAttribute(DATA, obis.EVENT_CODE, 2))


def load_profile(subject: Subject, selection: AccessSelection | None) -> bytes:
    """Return the load profile's buffer, as far as it was selected."""
    district, meter = subject.district, subject.meter
    if Fault.PROFILE_REFUSED in meter.faults:
        raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
    start, end, entries = _bounds(subject, selection)
    rows = district.history.rows(meter, start, end, entries)
    if Fault.NULL_ROWS in meter.faults:
        buffer = _with_nulls(rows, _LOAD_TAGS, district.zone, district.history.capture_period_s)
    else:
        buffer = _buffer(rows, _LOAD_TAGS, district.zone)
    return select_columns(buffer, selection, _registers(PROFILE_COLUMNS))


def event_log(
    subject: Subject, selection: AccessSelection | None, codes: frozenset[EventCode | int] | None
) -> bytes:
    """Return an event log's buffer, as far as it was selected; None is every code."""
    start, end, entries = _bounds(subject, selection)
    rows = subject.meter.events.between(start, end)
    if codes is not None:
        rows = [row for row in rows if row.values[0] in codes]
    buffer = _buffer(rows[entries], _EVENT_TAGS, subject.district.zone)
    return select_columns(buffer, selection, _EVENT_CAPTURED)


def _days(subject: Subject, start: int, end: int) -> Iterator[int]:
    """Yield the local midnights from `start` to `end`, both epoch seconds."""
    zone = zone_by(rule_of(subject))
    midnight = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, second=0, fold=0)
    while (at := int(midnight.timestamp())) <= end:
        if start <= at:
            yield at
        midnight += _DAY


def _is_month_begin(at: int, rule: ClockRule) -> bool:
    return datetime.fromtimestamp(at, zone_by(rule)).day == 1


def _billing_times(subject: Subject, start: int, end: int, monthly: bool) -> list[int]:
    history, now = subject.district.history, subject.district.now()
    first, last = max(start, history.born_at - history.span_s), min(end, now)
    begins = _days(subject, first, last) if first <= last else ()
    rule = rule_of(subject)
    return [at for at in begins if not monthly or _is_month_begin(at, rule)]


def _billing(subject: Subject, selection: AccessSelection | None, monthly: bool) -> bytes:
    start, end, entries = _bounds(subject, selection)
    times = _billing_times(subject, start, end, monthly)[entries]
    rows = [Row(at, tuple(subject.meter.energy_wh(at))) for at in times]
    buffer = _buffer(rows, _BILLING_TAGS, rule_of(subject))
    return select_columns(buffer, selection, _registers(_BILLING_COLUMNS))


def _bounds(subject: Subject, selection: AccessSelection | None) -> tuple[int, int, slice]:
    """Return first and last time of the selected rows, and which of those.

    Bounds without a deviation are local times of the meter's clock.
    """
    if selection is None:
        return 0, _FAR_FUTURE, slice(None)
    selector = selector_of(selection)
    if isinstance(selector, EntrySelector):
        return 0, _FAR_FUTURE, slice(max(selector.from_entry - 1, 0), selector.to_entry or None)
    zone = zone_by(rule_of(subject))
    start = selector.from_.resolve(zone).captured_at
    end = selector.to.resolve(zone).captured_at
    return -int(-start.timestamp() // 1), int(end.timestamp()), slice(None)


def _buffer(rows: list[Row], tags: Sequence[axdr.Tag], rule: ClockRule) -> bytes:
    clocks = [time_octets(row.captured_at, rule) for row in rows]
    columns = [[row.values[place] for row in rows] for place in range(len(tags))]
    return encode_buffer(clocks, list(zip(tags, columns, strict=True)))


def _with_nulls(rows: list[Row], tags: Sequence[axdr.Tag], rule: ClockRule, period_s: int) -> bytes:
    """Encode rows as a meter does that leaves out what follows from the row before."""
    encoded: list[axdr.Data] = []
    before: Row | None = None
    for row in rows:
        follows = before is not None and row.captured_at - before.captured_at == period_s
        clock = axdr.octet_string(time_octets(row.captured_at, rule))
        old: tuple[int | None, ...] = (None,) * len(tags) if before is None else before.values
        cells = (
            axdr.null_data() if value == last else axdr.Data(tag, value)
            for tag, value, last in zip(tags, row.values, old, strict=True)
        )
        encoded.append(axdr.structure(axdr.null_data() if follows else clock, *cells))
        before = row
    return axdr.encode(axdr.array(*encoded))


def _number(value: int) -> axdr.Data:
    return axdr.double_long_unsigned(value)


def _log(logical_name: bytes, codes: frozenset[EventCode | int] | None) -> CosemObject:
    def entries(subject: Subject) -> axdr.Data:
        rows = subject.meter.events.between(0, _FAR_FUTURE)
        return _number(sum(codes is None or row.values[0] in codes for row in rows))

    return CosemObject(
        PROFILE_GENERIC,
        logical_name,
        1,
        readers={
            2: lambda subject, selection: event_log(subject, selection, codes),
            3: lambda _subject, _selection: _EVENT_CAPTURED,
            4: fixed_reader(_number(0)),
            5: fixed_reader(axdr.enum(SORTED_FIFO)),
            6: lambda _subject, _selection: _SORT_OBJECT,
            7: computed(entries),
            8: fixed_reader(_number(EVENT_DEPTH)),
        },
    )


def _billing_profile(logical_name: bytes, period_s: int, depth: int, monthly: bool) -> CosemObject:
    return CosemObject(
        PROFILE_GENERIC,
        logical_name,
        1,
        readers={
            2: lambda subject, selection: _billing(subject, selection, monthly),
            3: lambda _subject, _selection: _registers(_BILLING_COLUMNS),
            4: fixed_reader(_number(period_s)),
            5: fixed_reader(axdr.enum(SORTED_FIFO)),
            6: lambda _subject, _selection: _SORT_OBJECT,
            7: computed(
                lambda subject: _number(len(_billing_times(subject, 0, _FAR_FUTURE, monthly)))
            ),
            8: fixed_reader(_number(depth)),
        },
    )


PROFILES: Final = (
    CosemObject(
        PROFILE_GENERIC,
        obis.LOAD_PROFILE_1,
        1,
        readers={
            2: load_profile,
            3: lambda _subject, _selection: _registers(PROFILE_COLUMNS),
            4: computed(lambda subject: _number(subject.district.history.capture_period_s)),
            5: fixed_reader(axdr.enum(SORTED_FIFO)),
            6: lambda _subject, _selection: _SORT_OBJECT,
            7: computed(
                lambda subject: _number(subject.district.history.entries_in_use(subject.meter))
            ),
            8: computed(lambda subject: _number(subject.district.history.depth)),
        },
    ),
    _billing_profile(DAILY, _DAY_S, 3660, monthly=False),
    _billing_profile(MONTHLY, 0, 132, monthly=True),
    _log(obis.EVENT_LOG, None),
    _log(FRAUD_LOG, frozenset(FRAUD)),
    _log(DISCONNECTOR_LOG, frozenset(DISCONNECTOR)),
    _log(POWER_QUALITY_LOG, frozenset(POWER_QUALITY)),
)
