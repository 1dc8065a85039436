"""The COSEM objects of a meter but its registers: one table, attribute readers by object."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import AccessSelection
from hesper_dlms.association import ASSOCIATION_CLASS

from hesper_sim import profiles
from hesper_sim.district import District
from hesper_sim.meter import FIRMWARE_VERSION, Meter
from hesper_sim.registers import REGISTERS

DATA, REGISTER, PROFILE_GENERIC, CLOCK, DISCONNECT_CONTROL = 1, 3, 7, 8, 70
METER_MODEL: Final = obis.parse("0.0.96.1.1.255")
CONTROL_MODE: Final = 2
"""Remote and manual disconnection, remote reconnection without a hand at the meter (Blue Book)."""
REMOTE_DISCONNECT: Final = 1
REMOTE_RECONNECT: Final = 2


class Subject(Protocol):
    """Whose attribute is read."""

    @property
    def district(self) -> District:
        """Where the meter stands."""
        ...

    @property
    def meter(self) -> Meter:
        """The meter."""
        ...

    @property
    def last_received_counter(self) -> int:
        """The highest invocation counter that was accepted from a client."""
        ...


Reader = Callable[[Subject, AccessSelection | None], bytes]


def _data(value: Callable[[Subject], axdr.Data]) -> dict[int, Reader]:
    return {2: lambda subject, _selection: axdr.encode(value(subject))}


def _fixed(value: axdr.Data) -> Reader:
    octets = axdr.encode(value)
    return lambda _subject, _selection: octets


def _meter_time(subject: Subject) -> bytes:
    return profiles.time_octets(subject.district.now() + subject.meter.drift_s)


_CLOCK_OBJECT: Final[dict[int, Reader]] = {
    2: lambda subject, _selection: axdr.encode(axdr.octet_string(_meter_time(subject))),
    3: _fixed(axdr.long_(0)),
    4: _fixed(axdr.unsigned(0)),
    5: _fixed(axdr.octet_string(b"\xff" * 12)),
    6: _fixed(axdr.octet_string(b"\xff" * 12)),
    7: _fixed(axdr.integer(0)),
    8: _fixed(axdr.boolean(False)),
    9: _fixed(axdr.enum(1)),
}

_LOAD_PROFILE: Final[dict[int, Reader]] = {
    2: lambda subject, selection: profiles.load_profile(subject.district, subject.meter, selection),
    3: lambda _subject, _selection: profiles.LOAD_CAPTURE_OBJECTS,
    4: lambda subject, _selection: axdr.encode(
        axdr.double_long_unsigned(subject.district.history.capture_period_s)
    ),
    5: _fixed(axdr.enum(profiles.SORTED_FIFO)),
    6: lambda _subject, _selection: profiles.SORT_OBJECT,
    7: lambda subject, _selection: axdr.encode(
        axdr.double_long_unsigned(
            subject.district.history.entries_in_use(subject.meter, subject.district.now())
        )
    ),
    8: lambda subject, _selection: axdr.encode(
        axdr.double_long_unsigned(subject.district.history.depth)
    ),
}

_EVENT_LOG: Final[dict[int, Reader]] = {
    2: lambda subject, selection: profiles.event_log(subject.meter, selection),
    3: lambda _subject, _selection: profiles.EVENT_CAPTURE_OBJECTS,
    4: _fixed(axdr.double_long_unsigned(0)),
    5: _fixed(axdr.enum(profiles.SORTED_FIFO)),
    6: lambda _subject, _selection: profiles.SORT_OBJECT,
    7: lambda subject, _selection: axdr.encode(
        axdr.double_long_unsigned(len(subject.meter.events))
    ),
    8: _fixed(axdr.double_long_unsigned(profiles.event_depth())),
}

_DISCONNECT_CONTROL: Final[dict[int, Reader]] = {
    2: lambda subject, _selection: axdr.encode(axdr.boolean(subject.meter.output)),
    3: lambda subject, _selection: axdr.encode(axdr.enum(subject.meter.control)),
    4: _fixed(axdr.enum(CONTROL_MODE)),
}

OBJECTS: Final[dict[tuple[int, bytes], dict[int, Reader]]] = {
    (CLOCK, obis.CLOCK): _CLOCK_OBJECT,
    (DATA, obis.LOGICAL_DEVICE_NAME): _data(
        lambda subject: axdr.octet_string(subject.meter.plan.logical_device_name.encode())
    ),
    (DATA, obis.SERIAL_NUMBER): _data(
        lambda subject: axdr.octet_string(subject.meter.serial.encode())
    ),
    (DATA, METER_MODEL): _data(
        lambda subject: axdr.octet_string(f"Hesper HSP-3 {subject.meter.plan.kind}".encode())
    ),
    (DATA, obis.FIRMWARE_VERSION): _data(
        lambda _subject: axdr.octet_string(FIRMWARE_VERSION.encode())
    ),
    (DATA, obis.EVENT_CODE): _data(lambda subject: axdr.long_unsigned(subject.meter.event_code)),
    (DATA, obis.INVOCATION_COUNTER): _data(
        lambda subject: axdr.double_long_unsigned(subject.last_received_counter)
    ),
    (PROFILE_GENERIC, obis.LOAD_PROFILE_1): _LOAD_PROFILE,
    (PROFILE_GENERIC, obis.EVENT_LOG): _EVENT_LOG,
    (DISCONNECT_CONTROL, obis.DISCONNECT_CONTROL): _DISCONNECT_CONTROL,
}
"""Every object but the registers: attribute readers by class and logical name."""


@cache
def _object_list() -> bytes:
    known: dict[tuple[int, bytes], range | dict[int, Reader]] = dict(OBJECTS)
    known |= {(REGISTER, name): range(2, 4) for name in REGISTERS}
    listed = (_listed(*key, attributes) for key, attributes in known.items())
    return axdr.encode(axdr.array(*listed))


def _listed(class_id: int, logical_name: bytes, attributes: range | dict[int, Reader]) -> axdr.Data:
    readable = (
        axdr.structure(axdr.integer(number), axdr.enum(1), axdr.null_data())
        for number in (1, *attributes)
    )
    moves = (REMOTE_DISCONNECT, REMOTE_RECONNECT) if class_id == DISCONNECT_CONTROL else ()
    methods = (axdr.structure(axdr.integer(number), axdr.enum(1)) for number in moves)
    return axdr.structure(
        axdr.long_unsigned(class_id),
        axdr.unsigned(1 if class_id == PROFILE_GENERIC else 0),
        axdr.octet_string(logical_name),
        axdr.structure(axdr.array(*readable), axdr.array(*methods)),
    )


OBJECTS[(ASSOCIATION_CLASS, obis.CURRENT_ASSOCIATION)] = {
    2: lambda _subject, _selection: _object_list(),
}
