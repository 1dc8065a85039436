"""IEC 61968-9: a MeterReadings message, ``created``, with interval blocks by reading type.

Header and payload are those of IEC 61968-100 (``http://iec.ch/TC57/2011/schema/message``), the
payload is a MeterReadings document of edition 2. Values are exact decimals in the unit of the
reading type, whose multiplier is therefore always 0; registers are given as they stand
(accumulation 1, bulk quantity). Quality codes are those of `hesper_cloud.validation.codes`.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from hesper_cloud.exports.curves import MeterPart, meter_parts, period_of
from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.exports.reading_types import reading_type
from hesper_cloud.stores.port import ReadingColumns
from hesper_cloud.validation.codes import VALID_RAW, of_flags

MESSAGE = "http://iec.ch/TC57/2011/schema/message"
READINGS = "http://iec.ch/TC57/2011/MeterReadings#"


def write(parts: Iterable[ReadingColumns]) -> Iterator[bytes]:
    """Yields the message; a meter that goes on in the next part gets a second MeterReading."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<EventMessage xmlns="{MESSAGE}">\n<Header>'
        "<Verb>created</Verb><Noun>MeterReadings</Noun><Revision>2.0</Revision>"
        f"<Timestamp>{now}</Timestamp><Source>Hesper</Source>"
        f"<MessageID>{uuid.uuid4()}</MessageID></Header>\n"
        f'<Payload><MeterReadings xmlns="{READINGS}">\n'
    ).encode()
    for part in meter_parts(parts):
        yield _meter_reading(part).encode()
    yield b"</MeterReadings></Payload>\n</EventMessage>\n"


def _meter_reading(part: MeterPart) -> str:
    period_s = period_of(part.captured_at)
    blocks = []
    for place, quantity in enumerate(part.quantities):
        columns = (part.captured_at, part.values[place], part.quality, part.missing[place])
        rows = zip(*(column.tolist() for column in columns), strict=True)
        readings = "".join(
            _interval(at, exact(value, quantity.scaler), quality)
            for at, value, quality, gone in rows
            if not gone
        )
        kind = reading_type(quantity, period_s, delta=False)._replace(multiplier=0)
        if readings:
            blocks.append(
                f'<IntervalBlocks>{readings}<ReadingType ref="{kind.mrid()}"/></IntervalBlocks>'
            )
    meter = f"<Meter><mRID>{escape(part.meter)}</mRID></Meter>"
    return f"<MeterReading>{''.join(blocks)}{meter}</MeterReading>\n"


def _interval(at: int, value: str, quality: int) -> str:
    told = "".join(
        f'<ReadingQualities><ReadingQualityType ref="{code}"/></ReadingQualities>'
        for code in of_flags(quality) or (VALID_RAW,)
    )
    return (
        f"<IntervalReadings><timeStamp>{rfc3339(at)}</timeStamp><value>{value}</value>"
        f"{told}</IntervalReadings>"
    )
