"""Targets for values: A-XDR, compact arrays, date-times, profile buffers, push bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from zoneinfo import ZoneInfo

from hesper_dlms import apdu, axdr
from hesper_dlms.axdr import Tag
from hesper_dlms.classes.registry import REGISTRY
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DlmsError
from hesper_dlms.profile import decode_buffer
from hesper_dlms.push import LAYOUTS, parse_body, read_push
from hesper_dlms.short_names import ShortNames

from hesper_lab.fuzz.inputs import hold

_ZONE: Final = ZoneInfo("Europe/Vienna")
_CLASSES: Final = tuple(REGISTRY.values())
_PERIODS: Final = (0, 900, 3600, 86400)


def value(octets: bytes) -> None:
    """One A-XDR value; what is decoded encodes to octets that decode to the same octets again."""
    try:
        data = axdr.decode(octets)
    except DlmsError:
        return
    axdr.plain(data)
    with suppress(DlmsError):  # a compact-array may hold items that no encoder would put together
        again = axdr.encode(data)
        hold(axdr.encode(axdr.decode(again)) == again, "encoding again changes a value")


def compact_array(octets: bytes) -> None:
    """The inside of a compact-array."""
    value(bytes((Tag.COMPACT_ARRAY,)) + octets)


def date_time(octets: bytes) -> None:
    """A date-time, resolved with and without the wrong sign."""
    try:
        moment = CosemDateTime.from_octets(octets)
    except DlmsError:
        return
    hold(moment.to_octets() == octets, "a date-time encodes to other octets")
    for wrong_sign in (False, True):
        with suppress(DlmsError):
            found = moment.resolve(_ZONE, wrong_sign)
            hold(found.captured_at.utcoffset() is not None, "an instant without a zone")


def profile_buffer(octets: bytes) -> None:
    """A profile's buffer behind two octets: the column of the clock, the capture period."""
    if len(octets) < 2:
        return
    clock, period = octets[0] % 8, _PERIODS[octets[1] % len(_PERIODS)]
    try:
        found = decode_buffer(octets[2:], period, clock, _ZONE)
    except DlmsError:
        return
    rows = len(found.captured_at)
    lengths = {len(column) for column in found.columns}
    hold(lengths <= {rows}, "columns of different lengths")
    hold(len(found.clock_status) == rows, "a status is missing")


def push_body(octets: bytes) -> None:
    """A push behind one octet that picks the layout."""
    layouts = sorted(LAYOUTS)
    layout = layouts[octets[0] % len(layouts)] if octets else layouts[0]
    with suppress(DlmsError):
        parse_body(octets[1:]).plain()
    notification = apdu.DataNotification(1, None, octets[1:])
    with suppress(DlmsError):
        read_push(notification, layout, {2: [bytes(6), bytes(6)]}, zone=_ZONE)


def class_attribute(octets: bytes) -> None:
    """An attribute's value behind two octets that pick class and attribute."""
    if len(octets) < 2:
        return
    described = _CLASSES[octets[0] % len(_CLASSES)]
    attribute = described.attributes[octets[1] % len(described.attributes)].attribute_id
    with suppress(DlmsError):
        found = described.decode(attribute, axdr.decode(octets[2:]))
        again = described.encode(attribute, found)
        hold(
            described.encode(attribute, described.decode(attribute, again)) == again,
            "encoding again changes an attribute",
        )


def association_view(octets: bytes) -> None:
    """A short-name association's object_list."""
    with suppress(DlmsError):
        names = ShortNames.from_object_list(axdr.decode(octets))
        for name in range(0, 0x10000, 0x800):
            names.resolve(name)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "axdr": value,
    "compact-array": compact_array,
    "cosem-time": date_time,
    "profile-buffer": profile_buffer,
    "push-body": push_body,
    "class-attribute": class_attribute,
    "short-name-view": association_view,
}
