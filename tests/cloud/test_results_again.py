"""A result may come a second time, in a new epoch of its gateway's outbox: it says nothing new."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, Result
from hesper_contracts.results import Findings, ImageFinding
from sqlalchemy import update

METER, GATEWAY = "HES12642984", "gw-1"


def activated(head_end: Any, version: str) -> CommandRecord:
    """Has an activation of a version leave, as an approved one does."""
    head_end.clock.advance(60)
    now = head_end.clock.now
    command = CommandRecord(
        id=str(uuid.uuid4()),
        kind="firmware.activate",
        meter=METER,
        gateway=GATEWAY,
        parameters={"version": version},
        state="sent",
        requester="ann",
        approver="ben",
        reason="security",
        created_at=now,
        updated_at=now,
        sent_at=now,
        not_after=now + timedelta(hours=1),
    )
    with writing(head_end.databases.authority) as session:
        session.add(command)
    return command


def says(head_end: Any, command: CommandRecord) -> None:
    findings = Findings(image=ImageFinding(status=6), firmware_after=command.parameters["version"])
    head_end.answer(command, "confirmed", findings=findings)


def firmware(head_end: Any) -> str | None:
    with reading(head_end.databases.registry) as session:
        return session.get_one(Meter, METER).firmware


@pytest.mark.parametrize("marks_are_lost", [False, True])
def test_firmware_that_was_replaced_since_is_not_shown_again(head_end, marks_are_lost):
    first = activated(head_end, "1.5.0")
    says(head_end, first)
    assert firmware(head_end) == "1.5.0"
    second = activated(head_end, "1.6.0")
    says(head_end, second)
    assert [head_end.command(each.id).state for each in (first, second)] == ["confirmed"] * 2
    says(head_end, first)
    if marks_are_lost:
        with writing(head_end.databases.registry) as session:
            session.execute(
                update(Result).where(Result.command_id == first.id).values(verified=None)
            )
        head_end.start_authority().turn()
    assert firmware(head_end) == "1.6.0"
