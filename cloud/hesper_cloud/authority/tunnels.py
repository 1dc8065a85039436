"""Transparent tunnels: asked for like a disconnect, approved by two, charged to the same budget."""

from datetime import timedelta
from typing import Any

from hesper_contracts import jsonbody
from hesper_contracts.frame import Refused
from hesper_contracts.tunnel import OpenTunnel

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import rules
from hesper_cloud.authority.case import Case, Outcome
from hesper_cloud.authority.drafting import await_second, draft
from hesper_cloud.authority.policy import TUNNEL, Policy
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord

_LIMITS = ("duration_s", "octets_max", "idle_s")
_EXPIRY_S = 300
"""From queueing to the gateway's last moment: on a long line many relays are read first."""
_RELAYS_S = 120
"""For the relays that are read afterwards."""


def request_tunnel(case: Case) -> Outcome:
    """Turns a wish into a tunnel that waits for a second person."""
    asked = case.asked
    meter_id, reason = asked.text("meter"), asked.text("reason")
    rules.require_user(case.session, asked.requested_by, Permission.REQUEST_COMMAND)
    rules.check_words(TUNNEL, meter_id, reason, asked.text("serial_tail"))
    limits = _limits(asked.payload)
    meter = case.meter(meter_id)
    rules.check_sendable(case.session, case.policy, TUNNEL, meter, case.now)
    rules.check_requestable(case.session, case.policy, TUNNEL, meter, case.now)
    command = draft(case, TUNNEL, meter, reason.strip(), limits)
    await_second(case, command)
    return {"command": command.id}


def expiry_s(policy: Policy, kind: str) -> int:
    """Returns for how long a command of this kind may be begun once it is queued."""
    return max(policy.expiry_s, _EXPIRY_S) if kind == TUNNEL else policy.expiry_s


def lasts(command: CommandRecord) -> timedelta:
    """Returns how long a command may take after its last moment, beside the policy's grace."""
    if command.kind != TUNNEL:
        return timedelta(0)
    return timedelta(seconds=command.parameters["duration_s"] + _RELAYS_S)


def _limits(payload: dict[str, Any]) -> dict[str, int]:
    given = {name: payload[name] for name in _LIMITS if payload.get(name) is not None}
    try:
        wanted = jsonbody.decode(jsonbody.encode(given), OpenTunnel)
    except Refused as refusal:
        raise Denied(f"no limits of a tunnel: {refusal}") from None
    return {name: getattr(wanted, name) for name in _LIMITS}
