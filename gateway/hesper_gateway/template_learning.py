"""What a meter's own association view tells for a template (Blue Book part 2, classes 12 and 15).

The view lists every object that the client may see. From it come the places of the objects that the
gateway works with, the registers worth a snapshot and the base names; from the association the
services that the meter granted and its longest APDU; from one attempt each, whether a profile can
be selected by time and by entry. What cannot be learned without writing is inherited.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hesper_dlms import obis
from hesper_dlms.apdu import Conformance, CosemAttribute, EntrySelector, RangeSelector
from hesper_dlms.association import Referencing
from hesper_dlms.client.profiles import PROFILE_GENERIC, read_shape
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError

from hesper_gateway.desk.association import Desk, desk
from hesper_gateway.desk.credentials import is_ciphered, security_of
from hesper_gateway.desk.meter import BUFFER, Listed, read_objects
from hesper_gateway.desk.options import Connection
from hesper_gateway.sessions.settings import AUTHENTICATION

_DATA, _REGISTER, _CLOCK, _DISCONNECT_CONTROL = 1, 3, 8, 70
_SNAPSHOT_MOST = 40
_WITH_LIST_MOST = 16
_ELECTRICITY = 1
_INSTANTANEOUS, _TOTAL = 7, 8

_NAMES = {mechanism: name for name, mechanism in AUTHENTICATION.items()}


class _Wanted(NamedTuple):
    """A place in `[objects]`: its class, its usual name, and where else it may be."""

    class_id: int
    usual: str
    group: tuple[int | None, ...]
    """The six groups that another object of this kind may have; None for any."""


_OBJECTS = {
    "clock": _Wanted(_CLOCK, "0.0.1.0.0.255", (0, None, 1, 0, None, 255)),
    "logical_device_name": _Wanted(_DATA, "0.0.42.0.0.255", (0, None, 42, 0, 0, 255)),
    "serial_number": _Wanted(_DATA, "0.0.96.1.0.255", (0, None, 96, 1, None, 255)),
    "firmware": _Wanted(_DATA, "1.0.0.2.0.255", (None, None, 0, 2, None, 255)),
    "model": _Wanted(_DATA, "0.0.96.1.1.255", (0, None, 96, 1, 1, 255)),
    "load_profile": _Wanted(PROFILE_GENERIC, "1.0.99.1.0.255", (1, None, 99, 1, None, 255)),
    "event_log": _Wanted(PROFILE_GENERIC, "0.0.99.98.0.255", (0, None, 99, 98, None, 255)),
    "disconnect_control": _Wanted(
        _DISCONNECT_CONTROL, "0.0.96.3.10.255", (0, None, 96, 3, None, 255)
    ),
}
_NEVER_ABSENT = ("clock", "logical_device_name")


def learned(connection: Connection, description: str | None = None) -> dict[str, Any]:
    """Return a template, as it is to be written, for the meter behind a connection.

    Raises:
        DlmsError: The meter cannot be reached or does not show its objects.
    """
    with desk(connection) as opened:
        short = connection.names is Referencing.SHORT_NAME
        listed = read_objects(opened, short)
        objects = _objects(listed)
        base = "generic-hdlc" if connection.over_hdlc else "generic-wrapper"
        return {
            "extends": base,
            "description": description or f"learned from a meter with {len(listed)} objects",
            "verified": "unverified",
            "link": _link(connection),
            "addresses": _addresses(connection),
            **({"security": _security(connection)} if security_of(connection) else {}),
            "associations": _associations(connection),
            **({"referencing": _referencing(listed)} if short else {}),
            "limits": _limits(opened, objects),
            "objects": {**objects, "invocation_counter": connection.counter_object},
            "snapshot": {"registers": _registers(listed)},
        }


def _link(connection: Connection) -> dict[str, Any]:
    if not connection.over_hdlc:
        return {"kind": "wrapper"}
    octets = connection.address_octets
    said = {"kind": "hdlc", "mode_e": connection.mode_e}
    return said if octets is None else {**said, "address_octets": octets}


def _addresses(connection: Connection) -> dict[str, int]:
    physical = connection.physical
    said = {"server": connection.server}
    return said if physical is None else {**said, "physical": physical}


def _security(connection: Connection) -> dict[str, Any]:
    return {
        "suite": connection.suite,
        "policy": connection.policy.value,
        "general": connection.general,
        "dedicated_key": connection.dedicated_key is not None,
    }


def _associations(connection: Connection) -> dict[str, Any]:
    """Return the client of the connection for both roles: nothing else was tried."""
    own = {
        "client_address": connection.client,
        "authentication": _NAMES[connection.mechanism],
        "ciphered": security_of(connection) is not None and is_ciphered(connection),
    }
    return {"reading": own, "management": own}


def _referencing(listed: Iterable[Listed]) -> dict[str, Any]:
    names = {
        f"{each.class_id}:{each.logical_name}": each.base_name
        for each in listed
        if each.base_name is not None
    }
    return {"names": "short-name", "base_names": names}


def _objects(listed: Sequence[Listed]) -> dict[str, str]:
    found = {name: _place_of(wanted, listed) for name, wanted in _OBJECTS.items()}
    return {
        name: place or "none"
        for name, place in found.items()
        if place is not None or name not in _NEVER_ABSENT
    }


def _place_of(wanted: _Wanted, listed: Iterable[Listed]) -> str | None:
    names = sorted(each.logical_name for each in listed if each.class_id == wanted.class_id)
    fitting = [name for name in names if _fits(name, wanted.group)]
    return wanted.usual if wanted.usual in fitting else next(iter(fitting), None)


def _fits(logical_name: str, group: Sequence[int | None]) -> bool:
    groups = obis.parse(logical_name)
    return all(said in (None, given) for said, given in zip(group, groups, strict=True))


def _registers(listed: Iterable[Listed]) -> list[str]:
    """Return total energies and present values of electricity, energies first."""
    names = {obis.parse(each.logical_name) for each in listed if each.class_id == _REGISTER}
    chosen = [
        name
        for name in sorted(names, key=lambda each: (-each[3], each))
        if name[0] == _ELECTRICITY and name[3] in (_INSTANTANEOUS, _TOTAL) and name[4:] == b"\0\xff"
    ]
    return [obis.text(name) for name in chosen[:_SNAPSHOT_MOST]]


def _limits(opened: Desk, objects: dict[str, str]) -> dict[str, Any]:
    agreed = opened.client.association
    granted = agreed.conformance if agreed else Conformance(0)
    lists = bool(granted & Conformance.MULTIPLE_REFERENCES)
    profile = objects["load_profile"]
    limits: dict[str, Any] = {
        "with_list_max": _WITH_LIST_MOST if lists else 1,
        "general_blocks": bool(granted & Conformance.GENERAL_BLOCK_TRANSFER),
    }
    if profile == "none":
        return limits
    now = datetime.now(UTC)
    first, last = map(CosemDateTime.from_datetime, (now - timedelta(hours=1), now))
    by_time = _selects(opened, profile, RangeSelector(first, last))
    by_entry = _selects(opened, profile, EntrySelector(1, 1))
    return {
        **limits,
        "selective_access": "range" if by_time else "none",
        "entry_access": by_entry,
    }


def _selects(opened: Desk, profile: str, selector: RangeSelector | EntrySelector) -> bool:
    name = obis.parse(profile)
    try:
        if isinstance(selector, RangeSelector):
            shape = opened.run(read_shape(opened.client, name))
            clock = shape.capture_objects[shape.clock_column()].attribute
            selector = selector._replace(clock=clock)
        opened.run(opened.client.get(CosemAttribute(PROFILE_GENERIC, name, BUFFER), selector))
    except (ServiceError, DecodeError):
        return False
    return True
