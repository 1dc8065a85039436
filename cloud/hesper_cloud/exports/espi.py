"""Green Button (NAESB REQ.21 ESPI): an Atom feed (RFC 4287) of usage points and interval blocks.

Of each meter: its UsagePoint, and for each quantity a ReadingType, a MeterReading and the
IntervalBlocks. An energy register is given as its advance per interval (accumulation 4, delta
data), which is what receivers expect; an interval begins where the capture before it lies, and is
as good as the worse of both. Other
quantities are given as they were captured. Elements stand in the order of ``espi.xsd``, times are
epoch seconds (TimeType), and quality is QualityOfReading (`hesper_cloud.validation.codes.Grade`).
A value is an integer of 48 bits there (Int48): what has more is left out. Readers find what belongs
together by links: ``related`` of a UsagePoint names its MeterReadings, that of a MeterReading its
IntervalBlocks and its ReadingType, each by the others' ``self`` or ``up``.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from hesper_cloud.exports.curves import Curve, period_of
from hesper_cloud.exports.reading_types import ReadingType, is_energy, reading_type
from hesper_cloud.stores.port import Quantity
from hesper_cloud.validation.codes import Grade

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
_ROOT = uuid.uuid5(uuid.NAMESPACE_URL, ESPI)
_LARGEST = 2**47 - 1
_SURE = frozenset({Grade.VALID, Grade.RAW, Grade.VALIDATED})


@dataclass(slots=True)
class _Told:
    """What was said of one quantity so far: its blocks, and the reading that came last.

    A meter whose scaler or unit changed has a MeterReading, by another name, for each.
    """

    name: str
    blocks: int = 0
    last: tuple[int, int, Grade] | None = None


def write(curves: Iterable[Curve]) -> Iterator[bytes]:
    """Yields the feed; every entry's id follows from what it names, so a repeat is no news."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">\n'
        f"<id>urn:uuid:{uuid.uuid4()}</id>\n<title>Green Button usage feed</title>\n"
        f"<updated>{now}</updated>\n<author><name>Hesper</name></author>\n"
    ).encode()
    meter, told = "", dict[Quantity, _Told]()
    for curve in curves:
        if curve.meter != meter:
            meter, told = curve.meter, {}
            yield _usage_point(meter, now).encode()
        if curve.quantity not in told:
            told[curve.quantity] = _Told(_name(curve.quantity, told))
            yield _meter_reading(curve, told[curve.quantity].name, now).encode()
        yield _block(curve, told[curve.quantity], now).encode()
    yield b"</feed>\n"


def _name(quantity: Quantity, others: Iterable[Quantity]) -> str:
    name, scaler, unit = quantity
    is_first = all(other.logical_name != name for other in others)
    return name if is_first else f"{name}e{scaler}u{unit}"


def _usage_point(meter: str, now: str) -> str:
    point = (
        f'<UsagePoint xmlns="{ESPI}"><ServiceCategory><kind>0</kind></ServiceCategory></UsagePoint>'
    )
    path = _point(meter)
    return _entry(path, "UsagePoint", meter, point, now, f"{path}/MeterReading")


def _point(meter: str) -> str:
    return f"UsagePoint/{quote(meter, safe='')}"


def _meter_reading(curve: Curve, name: str, now: str) -> str:
    up = f"{_point(curve.meter)}/MeterReading"
    kind = reading_type(curve.quantity, period_of(curve.values), delta=True)
    path, empty = f"{up}/{name}", f'<MeterReading xmlns="{ESPI}"/>'
    typed = f"{path}/ReadingType"
    entry = _entry(path, up, name, empty, now, typed, f"{path}/IntervalBlock")
    return entry + _entry(typed, "ReadingType", kind.mrid(), _type(kind), now)


def _type(kind: ReadingType) -> str:
    values = {
        "accumulationBehaviour": kind.accumulation,
        "commodity": kind.commodity,
        "flowDirection": kind.flow,
        "intervalLength": kind.period_s,
        "kind": kind.kind,
        "phase": kind.phase,
        "powerOfTenMultiplier": kind.multiplier,
        "uom": kind.unit,
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f'<ReadingType xmlns="{ESPI}">{inner}</ReadingType>'


def _block(curve: Curve, told: _Told, now: str) -> str:
    readings = [each for each in _readings(curve, told) if abs(each[2]) <= _LARGEST]
    if not readings:
        return ""
    told.blocks += 1
    parent = f"{_point(curve.meter)}/MeterReading/{told.name}/IntervalBlock"
    start, (final, length, *_) = readings[0][0], readings[-1]
    inner = "".join(map(_reading, readings))
    block = (
        f'<IntervalBlock xmlns="{ESPI}"><interval><duration>{final + length - start}</duration>'
        f"<start>{start}</start></interval>{inner}</IntervalBlock>"
    )
    return _entry(f"{parent}/{told.blocks}", parent, "", block, now)


def _readings(curve: Curve, told: _Told) -> Iterator[tuple[int, int, int, int]]:
    """Yields start, duration, value and quality of one quantity's intervals."""
    as_delta = is_energy(curve.quantity)
    for at, value, grade, *_ in curve.values:
        if not as_delta:
            yield at, 0, value, grade
            continue
        before, told.last = told.last, (at, value, grade)
        if before is not None and value >= before[1]:
            yield before[0], at - before[0], value - before[1], _of_both(before[2], grade)


def _of_both(begin: Grade, end: Grade) -> Grade:
    """Returns how good an advance is: what is estimated, edited or doubted at one end decides."""
    return begin if end in _SURE else end


def _reading(told: tuple[int, int, int, int]) -> str:
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
