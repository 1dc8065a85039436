"""Green Button (NAESB REQ.21 ESPI): an Atom feed (RFC 4287) of usage points and interval blocks.

Of each meter: its UsagePoint (of one that measures gas or water too: one of each), and for each
quantity a ReadingType, a MeterReading and the IntervalBlocks. An energy register is given as its
advance per interval (accumulation 4, delta data), which is what receivers expect; an interval
begins where the capture before it lies, and is as good as the worse of both. Where the register
fell there is none, unless it passed its last digit or is one of net energy. An interval belongs to
the window in which it ends, so that of windows that follow each other each has its own: to begin
with, captures of a local day before the start are read, and one after the end, which may show that
the last was read wrong (`LOOK_AROUND_S`). One that begins earlier
still is told only by an export of both its ends. Energy that was captured by the interval (D = 29)
is given as it is, over the capture period that it ends, and other quantities as they were captured.

Elements stand in the order of ``espi.xsd``, times are epoch seconds (TimeType), and quality is
QualityOfReading (`hesper_cloud.validation.codes.Grade`). A value is an integer of 48 bits there
(Int48): what has more is left out. Readers find what belongs together by links: ``related`` of a
UsagePoint names its MeterReadings, that of a MeterReading its IntervalBlocks and its ReadingType,
each by the others' ``self`` or ``up``.
"""

import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from hesper_cloud.exports.advances import LONGEST_DAY_S, across, advance, is_from_nowhere, misread
from hesper_cloud.exports.curves import Curve, Value, period_of
from hesper_cloud.exports.reading_types import (
    ReadingType,
    is_register,
    reading_type,
    service_kind,
)
from hesper_cloud.quantities import is_of_interval
from hesper_cloud.stores.port import Quantity
from hesper_cloud.validation.codes import Grade

LOOK_AROUND_S = LONGEST_DAY_S
ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
_ROOT = uuid.uuid5(uuid.NAMESPACE_URL, ESPI)
_LARGEST = 2**47 - 1
_SURE = frozenset({Grade.VALID, Grade.RAW, Grade.VALIDATED})
_Interval = tuple[int, int, int, int]
"""Start, duration, value and quality."""
_Register = tuple[str, int]
"""Logical name and unit."""
_Past = dict[Quantity, list[Value]]
"""What was captured up to now since a quantity has its scaler, of the last day at least."""
_Followed = tuple[Curve, list[Value]]
"""A curve, and what was captured after it in the same scaler."""


@dataclass(slots=True)
class _Told:
    """How one quantity is told, and how many blocks of it have been.

    A meter whose scaler or unit changed has a MeterReading, by another name, for each.
    """

    name: str
    period_s: int
    blocks: int = 0


def write(curves: Iterable[Curve], window: range) -> Iterator[bytes]:
    """Yields the feed; every entry's id follows from what it names, so a repeat is no news.

    Args:
        curves: Meter by meter, with what was captured `LOOK_AROUND_S` before and after the window.
        window: Epoch seconds.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">\n'
        f"<id>urn:uuid:{uuid.uuid4()}</id>\n<title>Green Button usage feed</title>\n"
        f"<updated>{now}</updated>\n<author><name>Hesper</name></author>\n"
    ).encode()
    for _, group in groupby(curves, lambda curve: curve.meter):
        for entry in _of_meter(_followed(group, window.stop), window.start, now):
            yield entry.encode()
    yield b"</feed>\n"


def _followed(curves: Iterable[Curve], end: int) -> Iterator[_Followed]:
    """Yields what was captured before the end, piece by piece, each with what the next begins with.

    The pieces of one register keep their order.
    """
    waiting = dict[_Register, _Followed]()
    for curve in curves:
        register = curve.quantity.logical_name, curve.quantity.unit
        stop, before = _at_or_after(curve.values, end), waiting.get(register)
        if before and before[0].quantity == curve.quantity and not before[1]:
            waiting[register] = before[0], curve.values
        if stop:
            if register in waiting:
                yield waiting.pop(register)
            waiting[register] = curve._replace(values=curve.values[:stop]), curve.values[stop:]
    yield from waiting.values()


def _of_meter(curves: Iterable[_Followed], start: int, now: str) -> Iterator[str]:
    """Yields the entries of a meter; none of what was captured before the start alone."""
    told, past = dict[Quantity, _Told](), _Past()
    newest, points = dict[_Register, tuple[Quantity, Value]](), set[str]()
    for curve, following in curves:
        quantity, values = curve.quantity, curve.values
        first, register = _at_or_after(values, start), (quantity.logical_name, quantity.unit)
        before, newest[register] = newest.get(register), (quantity, values[-1])
        changed = before if before and before[0] != quantity else None
        past[quantity] = [*(past.get(quantity, ()) if not changed else ()), *values[:first]]
        if first == len(values):
            continue
        if _point(curve) not in points:
            points.add(_point(curve))
            yield _usage_point(curve, now)
        if quantity not in told:
            told[quantity] = _Told(_name(quantity, told), period_of(values))
            yield _meter_reading(curve, told[quantity], now)
        if changed and not first:
            yield from _at_change(curve, changed, told, now)
        piece = curve._replace(values=values[first:]), following
        yield _block(piece, told[quantity], past, now)


def _at_change(
    curve: Curve, before: tuple[Quantity, Value], told: dict[Quantity, _Told], now: str
) -> Iterator[str]:
    """Yields the interval between the last capture in one scaler and the first in another.

    It belongs to the reading with the finer scaler, which alone can say it.
    """
    quantity, first = curve.quantity, curve.values[0]
    end = across(before, (quantity, first)) if is_register(quantity) else None
    if end is None:
        return
    finer = min(before[0], quantity, key=lambda each: each.scaler)
    of_finer = curve._replace(quantity=finer, values=[])
    if finer not in told:
        told[finer] = _Told(_name(finer, told), told[quantity].period_s)
        yield _meter_reading(of_finer, told[finer], now)
    begins, grade = before[1].captured_at, _of_both(before[1].grade, end.grade)
    length = end.captured_at - begins
    yield _block_of(of_finer, told[finer], [(begins, length, end.value, grade)], now)


def _name(quantity: Quantity, others: Iterable[Quantity]) -> str:
    name, scaler, unit = quantity
    is_first = all(other.logical_name != name for other in others)
    return name if is_first else f"{name}e{scaler}u{unit}"


def _usage_point(curve: Curve, now: str) -> str:
    kind = service_kind(curve.quantity)
    point = (
        f'<UsagePoint xmlns="{ESPI}"><ServiceCategory><kind>{kind}</kind></ServiceCategory>'
        "</UsagePoint>"
    )
    path = _point(curve)
    return _entry(path, "UsagePoint", curve.meter, point, now, f"{path}/MeterReading")


def _point(curve: Curve) -> str:
    """Returns the path of a usage point: of a meter, and of a service that is not electricity."""
    kind, path = service_kind(curve.quantity), f"UsagePoint/{quote(curve.meter, safe='')}"
    return f"{path};{kind}" if kind else path


def _meter_reading(curve: Curve, told: _Told, now: str) -> str:
    up = f"{_point(curve)}/MeterReading"
    kind = reading_type(curve.quantity, told.period_s, delta=True)
    path, empty = f"{up}/{told.name}", f'<MeterReading xmlns="{ESPI}"/>'
    typed = f"{path}/ReadingType"
    entry = _entry(path, up, told.name, empty, now, typed, f"{path}/IntervalBlock")
    return entry + _entry(typed, "ReadingType", kind.mrid(), _type(kind), now)


def _type(kind: ReadingType) -> str:
    values = {
        "accumulationBehaviour": kind.accumulation,
        "commodity": kind.commodity,
        **({"dataQualifier": kind.aggregate} if kind.aggregate else {}),
        "flowDirection": kind.flow,
        "intervalLength": kind.period_s,
        "kind": kind.kind,
        "phase": kind.phase,
        "powerOfTenMultiplier": kind.multiplier,
        "tou": kind.tariff,
        "uom": kind.unit,
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f'<ReadingType xmlns="{ESPI}">{inner}</ReadingType>'


def _block(piece: _Followed, told: _Told, past: _Past, now: str) -> str:
    return _block_of(piece[0], told, _readings(piece, told, past), now)


def _block_of(curve: Curve, told: _Told, found: Iterable[_Interval], now: str) -> str:
    readings = [each for each in found if abs(each[2]) <= _LARGEST]
    if not readings:
        return ""
    told.blocks += 1
    parent = f"{_point(curve)}/MeterReading/{told.name}/IntervalBlock"
    start, (final, length, *_) = readings[0][0], readings[-1]
    inner = "".join(map(_reading, readings))
    block = (
        f'<IntervalBlock xmlns="{ESPI}"><interval><duration>{final + length - start}</duration>'
        f"<start>{start}</start></interval>{inner}</IntervalBlock>"
    )
    return _entry(f"{parent}/{told.blocks}", parent, "", block, now)


def _readings(piece: _Followed, told: _Told, past: _Past) -> Iterator[_Interval]:
    """Yields one quantity's intervals."""
    curve = piece[0]
    length = told.period_s if is_of_interval(curve.quantity.logical_name) else 0
    if is_register(curve.quantity):
        yield from _advances(piece, told.period_s, past)
        return
    for at, value, grade, *_ in curve.values:
        yield at - length, length, value, grade


def _advances(piece: _Followed, period_s: int, past: _Past) -> Iterator[_Interval]:
    """Yields what a register brought from capture to capture."""
    curve, following = piece
    before_it = past[curve.quantity]
    values, first = [*before_it, *curve.values], len(before_it)
    shown = [*values, *following]
    wrong = misread(curve.quantity, shown)
    for place in range(max(first, 1), len(values)):
        before, each = values[place - 1 : place + 1]
        grown = advance(curve.quantity, before, each, period_s)
        if grown is None or wrong[place - 1] or wrong[place]:
            continue
        if is_from_nowhere(curve.quantity, grown, shown, place):
            continue
        begins = before.captured_at
        yield begins, each.captured_at - begins, grown, _of_both(before.grade, each.grade)
    past[curve.quantity] = values[_at_or_after(values, values[-1].captured_at - LOOK_AROUND_S) :]


def _at_or_after(values: Sequence[Value], at: int) -> int:
    return bisect_left(values, at, key=lambda value: value.captured_at)


def _of_both(begin: Grade, end: Grade) -> Grade:
    """Returns how good an advance is: what is estimated, edited or doubted at one end decides."""
    return begin if end in _SURE else end


def _reading(told: _Interval) -> str:
    start, duration, value, grade = told
    return (
        f"<IntervalReading><ReadingQuality><quality>{grade:d}</quality></ReadingQuality>"
        f"<timePeriod><duration>{duration}</duration><start>{start}</start></timePeriod>"
        f"<value>{value}</value></IntervalReading>"
    )


def _entry(path: str, up: str, title: str, content: str, now: str, *related: str) -> str:
    links = "".join(
        f'<link rel="{relation}" href={quoteattr(href)}/>'
        for relation, href in [("self", path), ("up", up), *(("related", to) for to in related)]
    )
    return (
        f"<entry><id>urn:uuid:{uuid.uuid5(_ROOT, path)}</id>{links}<title>{escape(title)}</title>"
        f'<content type="application/xml">{content}</content>'
        f"<published>{now}</published><updated>{now}</updated></entry>\n"
    )
