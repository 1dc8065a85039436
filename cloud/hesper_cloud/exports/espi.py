"""Green Button (NAESB REQ.21 ESPI): an Atom feed (RFC 4287) of usage points and interval blocks.

Of each meter: its UsagePoint, and for each quantity a ReadingType, a MeterReading and the
IntervalBlocks. An energy register is given as its advance per interval (accumulation 4, delta
data), which is what receivers expect; an interval begins where the capture before it lies. Other
quantities are given as they were captured. Elements stand in the order of ``espi.xsd``, times are
epoch seconds (TimeType), and quality is QualityOfReading (`hesper_cloud.validation.codes.Grade`).
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from hesper_contracts.quality import Quality

from hesper_cloud.exports.curves import MeterPart, meter_parts, period_of
from hesper_cloud.exports.reading_types import ReadingType, is_energy, reading_type
from hesper_cloud.stores.port import Quantity, ReadingColumns
from hesper_cloud.validation.codes import Grade

ATOM, ESPI = "http://www.w3.org/2005/Atom", "http://naesb.org/espi"
_MARKS = (
    (Quality.EDITED, Grade.MANUALLY_EDITED),
    (Quality.ESTIMATED, Grade.ESTIMATED_LINEAR),
)
_ROOT = uuid.uuid5(uuid.NAMESPACE_URL, ESPI)
_Last = dict[int, tuple[int, int]]


def write(parts: Iterable[ReadingColumns]) -> Iterator[bytes]:
    """Yields the feed; every entry's id follows from what it names, so a repeat is no news."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="{ATOM}">\n'
        f"<id>urn:uuid:{uuid.uuid4()}</id>\n<title>Green Button usage feed</title>\n"
        f"<updated>{now}</updated>\n"
    ).encode()
    meter, last, block = "", dict[int, tuple[int, int]](), 0
    for part in meter_parts(parts):
        if part.meter != meter:
            meter, last, block = part.meter, {}, 0
            yield _meter_entries(part, now).encode()
        block += 1
        yield _blocks(part, last, block, now).encode()
    yield b"</feed>\n"


def _meter_entries(part: MeterPart, now: str) -> str:
    path = f"UsagePoint/{part.meter}"
    point = (
        f'<UsagePoint xmlns="{ESPI}"><ServiceCategory><kind>0</kind></ServiceCategory></UsagePoint>'
    )
    entries = [_entry(path, "UsagePoint", part.meter, point, now)]
    period_s = period_of(part.captured_at)
    for quantity in part.quantities:
        reading = f"{path}/MeterReading/{quantity.logical_name}"
        kind = reading_type(quantity, period_s, delta=True)
        related = f"{reading}/ReadingType"
        empty = f'<MeterReading xmlns="{ESPI}"/>'
        up = f"{path}/MeterReading"
        entries.append(_entry(reading, up, quantity.logical_name, empty, now, related))
        entries.append(_entry(related, "ReadingType", kind.mrid(), _type(kind), now))
    return "".join(entries)


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


def _blocks(part: MeterPart, last: _Last, number: int, now: str) -> str:
    entries = []
    for place, quantity in enumerate(part.quantities):
        readings = list(_readings(part, place, quantity, last))
        if not readings:
            continue
        parent = f"UsagePoint/{part.meter}/MeterReading/{quantity.logical_name}/IntervalBlock"
        start, (final, length, *_) = readings[0][0], readings[-1]
        inner = "".join(map(_reading, readings))
        block = (
            f'<IntervalBlock xmlns="{ESPI}"><interval><duration>{final + length - start}</duration>'
            f"<start>{start}</start></interval>{inner}</IntervalBlock>"
        )
        entries.append(_entry(f"{parent}/{number}", parent, "", block, now))
    return "".join(entries)


def _readings(
    part: MeterPart, place: int, quantity: Quantity, last: _Last
) -> Iterator[tuple[int, int, int, int]]:
    """Yields start, duration, value and quality of one quantity's intervals."""
    as_delta = is_energy(quantity)
    columns = (part.captured_at, part.values[place], part.quality, part.missing[place])
    for at, value, quality, gone in zip(*(column.tolist() for column in columns), strict=True):
        if gone:
            continue
        grade = _grade(quality)
        if not as_delta:
            yield at, 0, value, grade
            continue
        before = last.get(place)
        last[place] = (at, value)
        if before is not None and value >= before[1]:
            yield before[0], at - before[0], value - before[1], grade


def _grade(quality: int) -> int:
    for flag, grade in _MARKS:
        if quality & flag:
            return grade
    return Grade.QUESTIONABLE if quality else Grade.RAW


def _reading(told: tuple[int, int, int, int]) -> str:
    start, duration, value, grade = told
    return (
        f"<IntervalReading><ReadingQuality><quality>{grade:d}</quality></ReadingQuality>"
        f"<timePeriod><duration>{duration}</duration><start>{start}</start></timePeriod>"
        f"<value>{value}</value></IntervalReading>"
    )


def _entry(path: str, up: str, title: str, content: str, now: str, related: str = "") -> str:
    links = f'<link rel="self" href="{escape(path)}"/><link rel="up" href="{escape(up)}"/>'
    if related:
        links += f'<link rel="related" href="{escape(related)}"/>'
    return (
        f"<entry><id>urn:uuid:{uuid.uuid5(_ROOT, path)}</id>{links}<title>{escape(title)}</title>"
        f"<content>{content}</content><published>{now}</published><updated>{now}</updated></entry>\n"
    )
