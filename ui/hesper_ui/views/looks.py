"""Which shape and which word a state wears; grey unless something is abnormal."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hesper_ui.services import READING, CommandRow, GatewayRow, LevelDay, MeterRow, Spot
from hesper_ui.views.findings import found
from hesper_ui.views.wording import decimal, retold
from hesper_ui.words import later, say

RELAY_STALE_AFTER = timedelta(hours=24)
GATEWAY_STALE_AFTER = timedelta(minutes=2)
"""A gateway tells every 15 s how it is; of others' own make the contract asks for a minute."""


class Look(NamedTuple):
    """A shape (see `.mark-…` in console.css) and the word that goes with it."""

    mark: str
    word: str


SEVERITIES = {
    "critical": Look("critical", "critical"),
    "warning": Look("warning", "warning"),
    "info": Look("info", "info"),
}

ROLES = (
    later("viewer"),
    later("operator"),
    later("approver"),
    later("admin"),
    later("auditor"),
    later("service"),
)
"""As they are said wherever a role is named."""

COMMAND_STATES = {
    "draft": Look("working", "draft"),
    "awaiting_approval": Look("warning", "awaiting approval"),
    "quarantined": Look("warning", "held for two more people"),
    "queued": Look("working", "queued"),
    "sent": Look("working", "sent, waiting for the gateway"),
    "acknowledged": Look("working", "acknowledged by the gateway"),
    "executing": Look("working", "being carried out"),
    "confirmed": Look("done", "confirmed by read-back"),
    "rejected": Look("stopped", "rejected"),
    "cancelled": Look("stopped", "withdrawn"),
    "expired": Look("warning", "expired"),
    "failed": Look("critical", "failed"),
    "unknown": Look("unknown", "unknown: no answer, do not assume"),
}

COMMAND_KINDS = {
    "relay.disconnect": later("Disconnect supply"),
    "relay.reconnect": later("Reconnect supply"),
    "relay.arm": later("Make ready for the button"),
    "relay.read": later("Read relay state"),
    "ping": later("Ask whether the meter answers"),
    "read.registers": later("Read registers"),
    "read.profile": later("Read a profile again"),
    "read.event_log": later("Read an event log again"),
    "read.conversation": later("Trace the line"),
    "clock.sync": later("Set the clock"),
    "tariff.special_days": later("Replace the special days"),
    "tariff.calendar": later("Replace the tariff calendar"),
    "limiter.write": later("Change the limiter"),
    "tunnel.open": later("Open a tunnel for a vendor's program"),
    "keys.change": later("Change the meter's keys"),
    "firmware.transfer": later("Bring a firmware image to the meter"),
    "firmware.activate": later("Activate a firmware image"),
    "gateway.restart": later("Restart the gateway"),
    "gateway.update": later("Update the gateway"),
    "gateway.configure": later("Replace the gateway's configuration"),
}

# The way of a relay command, for the row of steps; a state maps to how far it came.
APPROVED = later("approved")
STEPS = (
    later("requested"),
    APPROVED,
    later("sent"),
    later("acknowledged"),
    later("confirmed by read-back"),
)
ANSWERED = later("answered by the meter")
_REACHED = {
    "draft": 0,
    "awaiting_approval": 1,
    "quarantined": 2,
    "queued": 2,
    "sent": 3,
    "acknowledged": 4,
    "executing": 4,
    "confirmed": 5,
}


def severity(name: str) -> Look:
    """Returns the look of a severity."""
    return SEVERITIES.get(name, Look("info", name))


def command_state(state: str, kind: str = "") -> Look:
    """Returns the look of a command's state; what only asks leaves nothing to be read back."""
    if state == "confirmed" and kind in READING and kind != "relay.read":
        return Look("done", ANSWERED)
    return COMMAND_STATES.get(state, Look("unknown", state))


def command_kind(kind: str) -> str:
    """Returns what a command does, in words."""
    return say(COMMAND_KINDS.get(kind, kind))


def steps_reached(state: str) -> int | None:
    """Returns how many of STEPS an open or confirmed command has behind it; None when it ended."""
    return _REACHED.get(state)


def evidence(command: CommandRow) -> str:
    """Says what the meter showed and how long that took; else what the authority noted."""
    if command.state != "confirmed" or command.relay_after is None:
        why = [retold(command.detail)] if command.detail else []
        return "; ".join([*why, *found(command.findings)])
    output = say("connected") if command.relay_after else say("disconnected")
    shown = say("relay read {state}", state=output)
    if command.queued_at is not None:
        took = decimal((command.updated_at - command.queued_at).total_seconds(), 1)
        alone = command.approver is None
        after = (
            say("{took} s after the request", took=took)
            if alone
            else say("{took} s after approval", took=took)
        )
        shown = f"{shown}, {after}"
    noted = "" if command.detail in (None, "read back") else retold(command.detail)
    return f"{shown}; {noted}" if noted else shown


def meter_state(row: MeterRow, *, is_anybody_heard: bool) -> Look:
    """Returns whether a meter is online, silent, or not yet commissioned.

    Nobody is called online while the head end has lost its broker: it is said that it was so.
    """
    if row.state == "discovered":
        return Look("info", "discovered")
    if row.online:
        return Look("normal", "online") if is_anybody_heard else _was_online()
    if row.last_contact_at is None:
        return Look("unknown", "never seen")
    return Look("offline", "silent")


def relay_state(row: MeterRow, now: datetime | None = None) -> Look:
    """Returns the relay's state; one confirmed too long ago is said to be so."""
    if row.relay_output is None:
        return Look("unknown", "unknown")
    word = later("connected") if row.relay_output else later("disconnected")
    confirmed = row.relay_confirmed_at
    if confirmed is None or (now or datetime.now(UTC)) - confirmed > RELAY_STALE_AFTER:
        return Look("unknown", say("{word}, stale", word=say(word)))
    return Look("normal" if row.relay_output else "open", word)


def level_state(row: LevelDay) -> Look:
    """Returns whether a service level was reached, and whether that can still change."""
    if row.reached is None:
        return Look("info", "nothing was due")
    reached = later("reached") if row.reached else later("missed")
    word = reached if row.final else later("not over yet")
    if row.reached:
        return Look("normal", word)
    return Look("warning" if row.final else "working", word)


def _was_online() -> Look:
    return Look("unknown", say("{word}, stale", word=say("online")))


def gateway_state(row: GatewayRow | Spot, now: datetime | None = None) -> Look:
    """Returns whether a gateway is online, offline or unknown; of one long unheard, that it was.

    Nobody is called offline while the head end has lost its broker: then nobody is heard.
    """
    if row.state == "online":
        heard = row.last_seen_at
        if heard is None or (now or datetime.now(UTC)) - heard > GATEWAY_STALE_AFTER:
            return _was_online()
        return Look("normal", "online")
    if row.state == "offline":
        return Look("offline", "offline")
    return Look("unknown", "not heard yet")
