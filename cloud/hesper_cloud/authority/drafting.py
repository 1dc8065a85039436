"""A wish becomes a command: drafted, and queued for signing."""

import json
import uuid
from datetime import timedelta
from typing import Any

from hesper_cloud.authority import life
from hesper_cloud.authority.case import Case
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.db.authority import CommandRecord


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
    subject = f"{kind} {meter.id} {command.id}"
    told = f"draft with {json.dumps(parameters, sort_keys=True)}" if parameters else "draft"
    case.note("command.draft", subject, "", told, command.reason)
    case.session.add(command)
    return command


def await_second(case: Case, command: CommandRecord) -> None:
    """Lets a command wait for a second person's approval."""
    until = case.now + timedelta(seconds=case.policy.approval_window_s)
    step = case.step("awaiting_approval", "a second person must approve")
    life.move(case.session, command, step, case.now, not_after=until)


def queue(case: Case, command: CommandRecord, why: str, expiry_s: int) -> None:
    """Sends a command to the queue; ``expiry_s`` later no gateway acts on it any more."""
    until = case.now + timedelta(seconds=expiry_s)
    step = case.step("queued", why)
    life.move(case.session, command, step, case.now, queued_at=case.now, not_after=until)
