"""Disconnect control in every mode, limiter and register monitor (classes 70, 71 and 21).

What a control mode allows is a table (Blue Book, 4.5.8, modes 0 to 6): disconnection, remote
reconnection at once or only making it ready, and the hand at the meter. Whatever moves the relay
obeys it: a method, a script that invokes it, the limiter and the button.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import ActionResult, DataAccessResult
from hesper_dlms.classes.control import ControlState
from hesper_dlms.errors import ServiceError

from hesper_sim.district import District
from hesper_sim.meter import Meter
from hesper_sim.objects.cosem_object import (
    DISCONNECT_CONTROL,
    LIMITER,
    REGISTER,
    REGISTER_MONITOR,
    SCRIPT_TABLE,
    CosemObject,
    Method,
    Subject,
    computed,
    encoded,
    refused,
)

REMOTE_DISCONNECT: Final = 1
REMOTE_RECONNECT: Final = 2
DEFAULT_MODE: Final = 2
CONTROL_MODE: Final = 4
DISCONNECT_SCRIPTS: Final = obis.parse("0.0.10.0.106.255")
LIMITER_NAME: Final = obis.parse("0.0.17.0.0.255")
MONITOR_NAME: Final = obis.parse("0.0.16.1.0.255")
_MODE_KEY: Final = (DISCONNECT_CONTROL, obis.DISCONNECT_CONTROL, CONTROL_MODE)
_NORMAL_THRESHOLD: Final = 4
_LIMIT: Final = (LIMITER, LIMITER_NAME, _NORMAL_THRESHOLD)
_ACTIONS: Final = 11
_LONGEST_OVER: Final = (LIMITER, LIMITER_NAME, 6)


class Mode(NamedTuple):
    """What a control mode allows; `disconnect` remotely and by the limiter."""

    disconnect: bool
    reconnect: bool
    needs_hand: bool
    manual_disconnect: bool


MODES: Final = {
    0: Mode(False, False, False, False),
    1: Mode(True, True, True, True),
    2: Mode(True, True, False, True),
    3: Mode(True, True, True, False),
    4: Mode(True, True, False, False),
    5: Mode(True, True, True, True),
    6: Mode(True, True, True, False),
}
"""By control mode. In 1, 3, 5 and 6 a remote reconnection waits for the button at the meter."""


def mode_of(district: District, meter: Meter) -> Mode:
    """Return what a meter's control mode allows."""
    octets = district.written(meter, _MODE_KEY)
    return MODES[DEFAULT_MODE if octets is None else axdr.decode(octets).as_int()]


def _disconnect(district: District, meter: Meter, cause: str) -> None:
    if not mode_of(district, meter).disconnect:
        raise refused(ActionResult.READ_WRITE_DENIED)
    if not district.move_relay(meter, False, cause):
        raise refused(ActionResult.TEMPORARY_FAILURE)


def _reconnect(district: District, meter: Meter, cause: str) -> None:
    mode = mode_of(district, meter)
    if not mode.reconnect:
        raise refused(ActionResult.READ_WRITE_DENIED)
    if mode.needs_hand and meter.control is not ControlState.CONNECTED:
        district.make_ready(meter)
    elif not district.move_relay(meter, True, cause):
        raise refused(ActionResult.TEMPORARY_FAILURE)


_REMOTE: Final = {REMOTE_DISCONNECT: _disconnect, REMOTE_RECONNECT: _reconnect}
"""The methods of disconnect control, which its scripts invoke by the same numbers."""


def _method(number: int) -> Method:
    return lambda subject, _parameters: _REMOTE[number](subject.district, subject.meter, "remote")


def _set_mode(subject: Subject, octets: bytes) -> None:
    value = axdr.decode(octets)
    if value.tag is not axdr.Tag.ENUM:
        raise ServiceError(DataAccessResult.TYPE_UNMATCHED)
    if value.as_int() not in MODES:
        raise ServiceError(DataAccessResult.OTHER_REASON)
    DISCONNECT.keep(subject, CONTROL_MODE, octets)


def push_button(district: District, meter: Meter) -> bool:
    """Press the button at the meter; returns whether the relay moved."""
    mode = mode_of(district, meter)
    if meter.control is ControlState.READY_FOR_RECONNECTION:
        return district.move_relay(meter, True, "manual")
    if meter.control is ControlState.CONNECTED and mode.manual_disconnect:
        return district.move_relay(meter, False, "manual")
    return False


def watch_limit(district: District, meter: Meter) -> bool:
    """Open the relay of a meter that is over its limit too long; returns whether it moved.

    A threshold of 0, the default, watches nothing; neither does a meter whose control mode or
    action over the threshold leaves the relay alone.
    """
    kept = district.known(meter)
    limit = district.written(meter, _LIMIT)
    threshold = 0 if limit is None else axdr.decode(limit).as_int()
    if kept is None or not threshold or not meter.output or not _may_limit(district, meter):
        return False
    now = district.clock()
    if meter.power_w(int(now)).active_import <= threshold:
        kept.over_limit_since = None
        return False
    if kept.over_limit_since is None:
        kept.over_limit_since = now
    longest = district.written(meter, _LONGEST_OVER)
    if now - kept.over_limit_since < (0 if longest is None else axdr.decode(longest).as_int()):
        return False
    kept.over_limit_since = None
    return district.move_relay(meter, False, "limiter")


def _may_limit(district: District, meter: Meter) -> bool:
    written = district.written(meter, (LIMITER, LIMITER_NAME, _ACTIONS))
    over, _ = axdr.decode(written or LIMITER_OBJECT.settings[_ACTIONS]).as_items()
    _, script = over.as_items()
    return script.as_int() == REMOTE_DISCONNECT and mode_of(district, meter).disconnect


DISCONNECT: Final = CosemObject(
    DISCONNECT_CONTROL,
    obis.DISCONNECT_CONTROL,
    readers={
        2: computed(lambda subject: axdr.boolean(subject.meter.output)),
        3: computed(lambda subject: axdr.enum(subject.meter.control)),
    },
    settings=encoded(a4=axdr.enum(DEFAULT_MODE)),
    writers={CONTROL_MODE: _set_mode},
    methods={number: _method(number) for number in _REMOTE},
)


def _script(number: int) -> axdr.Data:
    return axdr.structure(axdr.octet_string(DISCONNECT_SCRIPTS), axdr.long_unsigned(number))


_MONITORED: Final = axdr.structure(
    axdr.long_unsigned(REGISTER), axdr.octet_string(obis.ACTIVE_POWER_IMPORT), axdr.integer(2)
)
_NOTHING_TO_DO: Final = axdr.structure(_script(0), _script(0))
LIMITER_OBJECT: Final[CosemObject] = CosemObject(
    LIMITER,
    LIMITER_NAME,
    readers={3: lambda subject, _selection: LIMITER_OBJECT.get(subject, _NORMAL_THRESHOLD)},
    settings=encoded(
        a2=_MONITORED,
        a4=axdr.double_long_unsigned(0),
        a5=axdr.double_long_unsigned(0),
        a6=axdr.double_long_unsigned(0),
        a7=axdr.double_long_unsigned(0),
        a8=axdr.structure(
            axdr.long_unsigned(0), axdr.octet_string(b"\xff" * 12), axdr.double_long_unsigned(0)
        ),
        a9=axdr.array(),
        a10=axdr.boolean(False),
        a11=axdr.structure(_script(REMOTE_DISCONNECT), _script(0)),
    ),
    fixed=frozenset({2, 10}),
)
MONITOR_OBJECT: Final = CosemObject(
    REGISTER_MONITOR,
    MONITOR_NAME,
    settings=encoded(
        a2=axdr.array(axdr.double_long_unsigned(0)), a3=_MONITORED, a4=axdr.array(_NOTHING_TO_DO)
    ),
    fixed=frozenset({3}),
)


def _execute(subject: Subject, parameters: bytes | None) -> None:
    run_disconnect_script(subject.district, subject.meter, axdr.decode(parameters or b"").as_int())


def run_disconnect_script(district: District, meter: Meter, number: int) -> None:
    """Run script 1 (disconnect) or 2 (reconnect).

    Raises:
        ServiceError: There is no such script, or its method is refused.
    """
    if number not in _REMOTE:
        raise refused(ActionResult.OBJECT_UNAVAILABLE)
    _REMOTE[number](district, meter, "script")


def _script_specification(number: int) -> axdr.Data:
    action = axdr.structure(
        axdr.enum(2),
        axdr.long_unsigned(DISCONNECT_CONTROL),
        axdr.octet_string(obis.DISCONNECT_CONTROL),
        axdr.integer(number),
        axdr.integer(0),
    )
    return axdr.structure(axdr.long_unsigned(number), axdr.array(action))


SCRIPTS_OBJECT: Final = CosemObject(
    SCRIPT_TABLE,
    DISCONNECT_SCRIPTS,
    settings=encoded(
        a2=axdr.array(
            _script_specification(REMOTE_DISCONNECT), _script_specification(REMOTE_RECONNECT)
        )
    ),
    fixed=frozenset({2}),
    methods={1: _execute},
)
SWITCHING: Final = (DISCONNECT, LIMITER_OBJECT, MONITOR_OBJECT, SCRIPTS_OBJECT)
