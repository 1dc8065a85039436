"""Events of meters and gateways, as they travel up in batches."""

from typing import Literal

import msgspec

from hesper_contracts import batch, jsonbody
from hesper_contracts.frame import Encoding, Kind, expect
from hesper_contracts.jsonbody import UtcTime

Severity = Literal["info", "warning", "critical"]
Attribute = str | int | float | bool | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, told once.

    ``id`` makes redelivery and re-reading harmless: for a meter's event log it is built from meter,
    time and code. ``code`` is dotted, area first: ``tamper.cover_opened``, ``meter.identified``.
    """

    id: str
    code: str
    occurred_at: UtcTime
    severity: Severity = "info"
    meter: str | None = None
    text: str = ""
    attributes: dict[str, Attribute] = {}


class EventList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an events batch."""

    events: tuple[Event, ...]


def to_payload(events: EventList, epoch: str, sequence: int) -> bytes:
    """Return the payload of an events batch."""
    return batch.seal(Kind.EVENTS, Encoding.JSON, epoch, sequence, jsonbody.encode(events))


def from_payload(payload: bytes) -> EventList:
    """Return the events of a batch.

    Raises:
        Refused: another kind or version, or a body that is no event list.
    """
    expect(payload, Kind.EVENTS, Encoding.JSON)
    return jsonbody.decode(batch.open_(payload).body, EventList)
