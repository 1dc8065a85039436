"""IEC 61968-9: a MeterReadings message, ``created``, with interval blocks by reading type.

Header and payload are those of IEC 61968-100 (``http://iec.ch/TC57/2011/schema/message``), the
payload is a MeterReadings document of edition 2. Values are exact decimals in the unit of the
reading type, whose multiplier is therefore always 0; registers are given as they stand
(accumulation 1, bulk quantity). Quality codes are those of `hesper_cloud.validation.codes`.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from xml.sax.saxutils import escape

from hesper_cloud.exports.curves import Curve, Value, period_of
from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.exports.reading_types import reading_type

MESSAGE = "http://iec.ch/TC57/2011/schema/message"
READINGS = "http://iec.ch/TC57/2011/MeterReadings#"


def write(curves: Iterable[Curve]) -> Iterator[bytes]:
    """Yields the message; a meter that goes on after another gets a second MeterReading."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<EventMessage xmlns="{MESSAGE}">\n<Header>'
        "<Verb>created</Verb><Noun>MeterReadings</Noun><Revision>2.0</Revision>"
        f"<Timestamp>{now}</Timestamp><Source>Hesper</Source>"
        f"<MessageID>{uuid.uuid4()}</MessageID></Header>\n"
        f'<Payload><MeterReadings xmlns="{READINGS}">\n'
    ).encode()
    for meter, group in groupby(curves, lambda curve: curve.meter):
        yield b"<MeterReading>"
        for curve in group:
            yield _blocks(curve).encode()
        yield f"<Meter><mRID>{escape(meter)}</mRID></Meter></MeterReading>\n".encode()
    yield b"</MeterReadings></Payload>\n</EventMessage>\n"


def _blocks(curve: Curve) -> str:
    readings = "".join(_interval(value, curve.quantity.scaler) for value in curve.values)
    kind = reading_type(curve.quantity, period_of(curve.values), delta=False)
    named = kind._replace(multiplier=0).mrid()
    return f'<IntervalBlocks>{readings}<ReadingType ref="{named}"/></IntervalBlocks>'


def _interval(value: Value, scaler: int) -> str:
    told = "".join(
        f'<ReadingQualities><ReadingQualityType ref="{code}"/></ReadingQualities>'
        for code in value.codes
    )
    return (
        f"<IntervalReadings><timeStamp>{rfc3339(value.captured_at)}</timeStamp>"
        f"<value>{exact(value.value, scaler)}</value>{told}</IntervalReadings>"
    )
