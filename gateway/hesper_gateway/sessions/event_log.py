"""A meter's event logs: each a profile of (clock, event code), told as events.

An event's id is made of meter, time and code, so reading a row again tells nothing new, and neither
does a second log that holds the same event: codes are numbered across all logs of a meter.
"""

from collections.abc import Mapping

from hesper_contracts.events import Event
from hesper_contracts.parameters import EventLogName
from hesper_dlms import obis

from hesper_gateway.sessions.clock import EARLIEST_S, LATEST_S, as_utc
from hesper_gateway.sessions.profile import Rows, Shape
from hesper_gateway.templates.model import EventTextTemplate


def code_column(shape: Shape) -> int | None:
    """Return which valued column holds the event code (0.b.96.11.e.255); None when none does."""
    for index, (_, column) in enumerate(shape.valued):
        name = column.logical_name
        if (name[0], name[2], name[3]) == (0, *obis.EVENT_CODE[2:4]):
            return index
    return 0 if len(shape.valued) == 1 else None


def events(
    meter: str,
    log: EventLogName,
    shape: Shape,
    rows: Rows,
    texts: Mapping[int, EventTextTemplate],
) -> list[Event]:
    """Return the events of log rows; a code that the template does not know keeps its number.

    A row dated outside of the years 1970 to 9000 is left out: the cloud would refuse the batch.
    """
    column = code_column(shape)
    if column is None:
        return []
    return [
        _event(meter, log, captured_at, code, texts.get(code))
        for captured_at, code in zip(rows.captured_at, rows.columns[column], strict=True)
        if code is not None and EARLIEST_S <= captured_at <= LATEST_S
    ]


def _event(
    meter: str, log: EventLogName, captured_at: int, code: int, known: EventTextTemplate | None
) -> Event:
    return Event(
        id=f"{meter}/{captured_at}/{code}",
        code=known.code if known else f"meter.code_{code}",
        severity=known.severity if known else "info",
        occurred_at=as_utc(captured_at),
        meter=meter,
        text=known.text if known else f"event {code} in the meter's log",
        attributes={"meter_code": code, "log": log},
    )
