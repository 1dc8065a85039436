"""A push as a reading: when, what, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from hesper_dlms.apdu import DataNotification
from hesper_dlms.cosem_time import STATUS_NOT_SPECIFIED, CosemDateTime
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.push.body import parse_body
from hesper_dlms.push.layouts import LAYOUTS, Objects, PushedValue

_NO_OBJECTS: Objects = {}
_SHORTEST_IDENTITY = 4


@dataclass(frozen=True, slots=True)
class PushedReading:
    """One push.

    captured_at: aware UTC by the meter's clock; None when the push carries no usable time.
    clock_status: of that time; 255 when not specified.
    how: how the time was resolved, see `cosem_time.Resolved`; empty without a time.
    values: in the meter's order.
    identities: what the meter calls itself: serial numbers, logical device name, other texts.
    quirks: deviations from A-XDR that the octets needed.
    """

    captured_at: datetime | None
    clock_status: int
    how: str
    values: list[PushedValue]
    identities: list[str]
    quirks: tuple[str, ...] = ()


def read_push(
    notification: DataNotification,
    layout: str = "auto",
    objects: Objects = _NO_OBJECTS,
    *,
    zone: tzinfo = UTC,
    wrong_sign: bool = False,
    arrived_at: datetime | None = None,
) -> PushedReading:
    """Read a push by its layout.

    Args:
        notification: The data-notification.
        layout: A name in `LAYOUTS`.
        objects: Lists of logical names by the count of values, for layouts without names.
        zone: The meter's zone, for times whose deviation is not specified.
        wrong_sign: The meter writes deviations with the opposite sign.
        arrived_at: Aware; tells which of the doubled hours of autumn a push comes from whose clock
            does not.

    Raises:
        DecodeError: The body does not parse, or not by this layout.
        LocalError: There is no such layout.
    """
    read = LAYOUTS.get(layout)
    if read is None:
        raise LocalError(f"no push layout is called {layout!r}: {', '.join(sorted(LAYOUTS))}")
    body = parse_body(notification.body)
    data = body.rows()
    values = read(data.value if isinstance(data.value, tuple) else (data,), objects)
    times = _times(notification, values)
    captured_at, status, how = _time(times, zone, wrong_sign, arrived_at)
    return PushedReading(captured_at, status, how, values, _identities(values), body.quirks)


def _times(notification: DataNotification, values: list[PushedValue]) -> list[bytes]:
    """Return the date-times of a push, best first: the clock's, an unnamed one, the sender's."""
    times = [
        (value.logical_name, value.value)
        for value in values
        if isinstance(value.value, bytes) and len(value.value) == 12
    ]
    clocks = [octets for name, octets in times if _is_clock(name)]
    unnamed = [octets for name, octets in times if name is None]
    sent = [] if notification.date_time is None else [notification.date_time]
    return [*clocks, *unnamed, *sent]


def _is_clock(name: bytes | None) -> bool:
    """Whether a logical name is a clock's: 0.b.1.0.0.255."""
    return name is not None and name[0] == 0 and name[2:] == b"\x01\x00\x00\xff"


def _time(
    candidates: list[bytes], zone: tzinfo, wrong_sign: bool, arrived_at: datetime | None
) -> tuple[datetime | None, int, str]:
    """Return instant, clock status and how it was found, of the first that names an instant."""
    for octets in candidates:
        try:
            time = CosemDateTime.from_octets(octets)
            if arrived_at is None:
                found = time.resolve(zone, wrong_sign)
            else:
                found = time.resolve_at_arrival(zone, wrong_sign, arrived_at)
        except DecodeError:
            continue
        return found.captured_at, octets[11], found.how
    return None, STATUS_NOT_SPECIFIED, ""


def _identities(values: list[PushedValue]) -> list[str]:
    """Return texts that may name the meter: its identity objects first, then unnamed texts."""
    named = [_text(value.value) for value in values if _is_identity(value.logical_name)]
    unnamed = [_text(value.value) for value in values if value.logical_name is None]
    texts = [text for text in (*named, *unnamed) if len(text) >= _SHORTEST_IDENTITY]
    return list(dict.fromkeys(texts))


def _is_identity(name: bytes | None) -> bool:
    """Whether a logical name is 0.b.42.0.0 (logical device name) or 0.b.96.1.x (serial numbers)."""
    if name is None or name[0] != 0:
        return False
    return name[2:4] == b"\x60\x01" or name[2:5] == b"\x2a\x00\x00"


def _text(value: object) -> str:
    """Return a printable text of a value, empty for anything else."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return ""
    text = value.rstrip("\0 ")
    return text if text.isascii() and text.isprintable() else ""
