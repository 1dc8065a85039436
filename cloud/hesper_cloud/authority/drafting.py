"""A wish becomes a command: drafted, and queued for signing."""

import hashlib
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from hesper_cloud.authority import facts, life, timing
from hesper_cloud.authority.case import Case
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.kinds import CUTTING
from hesper_cloud.db.authority import CommandRecord

_LONG = 2_000


def draft(
    case: Case, kind: str, meter: MeterFacts, reason: str, parameters: dict[str, Any] | None = None
) -> CommandRecord:
    """Adds a command in the state ``draft``, after its audit row."""
    command = CommandRecord(
        id=str(uuid.uuid4()),
        kind=kind,
        meter=meter.id,
        gateway=meter.gateway,
        parameters=parameters or {},
        state="draft",
        requester=case.asked.requested_by,
        reason=reason,
        created_at=case.now,
        updated_at=case.now,
        relay_before=meter.relay_output,
    )
    told = f"draft with {_in_brief(parameters)}" if parameters else "draft"
    case.note("command.draft", life.subject(command), "", told, command.reason)
    case.session.add(command)
    return command


def _in_brief(parameters: dict[str, Any]) -> str:
    """Returns parameters as the audit log has them: of what is long, its SHA-256."""
    brief = {
        name: f"sha256 {hashlib.sha256(value.encode()).hexdigest()}"
        if isinstance(value, str) and len(value) > _LONG
        else value
        for name, value in parameters.items()
    }
    return json.dumps(brief, sort_keys=True)


def await_second(case: Case, command: CommandRecord) -> None:
    """Lets a command wait for a second person's approval."""
    until = case.now + timedelta(seconds=case.policy.approval_window_s)
    step = case.step("awaiting_approval", "a second person must approve")
    life.move(case.session, command, step, case.now, not_after=until)


def queue(case: Case, command: CommandRecord, why: str, expiry_s: int) -> None:
    """Sends a command to the queue, or keeps it in quarantine where too many are on their way.

    ``expiry_s`` after its time has come no gateway acts on it any more.

    Raises:
        Denied: its time does not come while it may wait.
    """
    until = last_moment(case, command.kind, command.gateway, expiry_s)
    limits = case.policy.disconnects
    if command.kind in CUTTING and (
        facts.queued_lately(case.session, case.now) >= limits.quarantine_above
    ):
        held = case.now + timedelta(seconds=limits.quarantine_s)
        words = f"more than {limits.quarantine_above} an hour; two approvers must release it"
        step = case.step("quarantined", words)
        life.move(case.session, command, step, case.now, not_after=held)
        return
    begins_at = timing.begins_at(command.kind, command.parameters, case.now)
    send_to_queue(case, command, why, until + (begins_at - case.now))


def last_moment(case: Case, kind: str, gateway: str, expiry_s: int) -> datetime:
    """Returns until when a command that is queued now may begin.

    Raises:
        Denied: it cuts a supply and the hours for that do not come while it may wait.
    """
    expiry = timedelta(seconds=expiry_s)
    if kind not in CUTTING:
        return case.now + expiry
    patience = max(expiry, timedelta(seconds=case.policy.hours.wait_s))
    return timing.opening(case.registry, case.policy, gateway, case.now, patience) + expiry


def send_to_queue(case: Case, command: CommandRecord, why: str, until: datetime) -> None:
    """Sends a command to the queue; after ``until`` no gateway acts on it any more."""
    step = case.step("queued", why)
    life.move(case.session, command, step, case.now, queued_at=case.now, not_after=until)
