"""What a result that says "confirmed" must show, by kind of command.

A gateway's signature says who claims it; the claim counts when what was read agrees with what was
asked. Of tables and limiters the gateway reads back more than a result can carry: there its
signed word is all there is.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from hesper_contracts import jsonbody
from hesper_contracts.results import (
    READY_FOR_RECONNECTION,
    CommandResult,
    Findings,
    without_conversation,
)

from hesper_cloud.authority.kinds import (
    ACTIVATE,
    ARM,
    CHANGE_KEYS,
    CONFIGURE,
    READ,
    READ_CONVERSATION,
    READ_PROFILE,
    RECONNECT,
    RESTART,
    TRANSFER,
    UPDATE,
)
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.registry import CLOCK_TOLERANCE
from hesper_cloud.worded import later, worded

CLOCK_RIGHT_MS = 2_000
"""How far off a clock may be when it is read back after it was set."""
_VERIFIED = 3
"""image_transfer_status, class 18: verification successful."""


def reached(kind: str, output: bool, control: int | None) -> bool:
    """Says whether a relay that was read stands as a command of this kind wanted.

    A meter that waits for its customer's push of a button (control state 2, ready for
    reconnection) has done what a reconnect asks of it, and not what a disconnect does.
    """
    waits = control == READY_FOR_RECONNECTION
    if kind in (RECONNECT, ARM):
        return output or waits
    return kind == READ or not (output or waits)


def lacking(command: CommandRecord, result: CommandResult) -> str | None:
    """Says what a result that claims success fails to show; None when it shows all of it."""
    check = _relay if command.kind.startswith("relay.") else _CHECKS.get(command.kind)
    return check(command, result) if check else None


def kept(result: CommandResult) -> dict[str, Any] | None:
    """Returns what is kept of a result beside the relay, as JSON; None when it found nothing.

    A conversation stays in the signed result alone, where whoever wants to see it reads it.
    """
    found = _findings(without_conversation(result))
    told = msgspec.json.decode(jsonbody.encode(found)) if found else {}
    if result.registers:
        told["registers"] = {
            name: {"value": value, "scaler": scaler, "unit": unit}
            for name, (value, scaler, unit) in result.registers.items()
        }
    return told or None


def _findings(result: CommandResult) -> Findings | None:
    return None if isinstance(result.findings, msgspec.UnsetType) else result.findings


def _relay(command: CommandRecord, result: CommandResult) -> str | None:
    seen = result.relay_after
    if seen is None:
        return later("shows no relay reading")
    if not reached(command.kind, seen.output, seen.control_state):
        return later("the relay reading does not show it")
    return None


def _something(_: CommandRecord, result: CommandResult) -> str | None:
    return later("shows nothing that was found") if _findings(result) is None else None


def _conversation(_: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    shown = found is not None and found.conversation is not None
    return None if shown else later("shows no conversation")


def _registers(command: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    told = {*result.registers, *(found.missing if found else ())}
    silent = set(command.parameters["logical_names"]) - told
    return worded("says nothing of {names}", names=", ".join(sorted(silent))) if silent else None


def _clock(_: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    if found is None or found.clock_after is None:
        return later("shows no clock that was read back")
    if abs(found.clock_after.drift_ms) > CLOCK_RIGHT_MS:
        off_ms = found.clock_after.drift_ms
        return worded("the clock that was read back is {off_ms} ms off", off_ms=off_ms)
    return None


def _restart(command: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    if found is None or found.started_at is None:
        return later("shows no start")
    if command.sent_at is not None and found.started_at < command.sent_at - CLOCK_TOLERANCE:
        return later("its program has run since before the command")
    return None


def _configuration(command: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    wanted = hashlib.sha256(command.parameters["toml"].encode()).hexdigest()
    if found is None or found.configuration != wanted:
        return later("another configuration is in force")
    return None


def _keys(_: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    proven = found is not None and found.keys == "new"
    return None if proven else later("does not say that the meter opens with its new keys")


def _image_verified(_: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    verified = found is not None and found.image is not None and found.image.status == _VERIFIED
    return None if verified else later("does not show that the meter has verified the image")


def _version(command: CommandRecord, result: CommandResult) -> str | None:
    found = _findings(result)
    wanted, read = command.parameters["version"], found.firmware_after if found else ""
    if read == wanted:
        return None
    return worded("the version that was read back is {version!r}", version=read)


_CHECKS: dict[str, Callable[[CommandRecord, CommandResult], str | None]] = {
    "ping": _something,
    "read.registers": _registers,
    READ_PROFILE: _something,
    "read.event_log": _something,
    READ_CONVERSATION: _conversation,
    "clock.sync": _clock,
    CHANGE_KEYS: _keys,
    TRANSFER: _image_verified,
    ACTIVATE: _version,
    UPDATE: _version,
    RESTART: _restart,
    CONFIGURE: _configuration,
}
