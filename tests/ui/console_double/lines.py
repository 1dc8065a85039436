"""The double's traces: a meter that answers tells a little, a silent one shows where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.services.conversations import ConversationRow, UtteranceRow
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.records import CommandRow

if TYPE_CHECKING:
    from console_double.services import DoubleServices

KIND = "read.conversation"
Said = tuple[str, str, Sequence[str]]
"""What, octets, and what they say."""
SNRM: Said = ("sent", "7ea00a00020023219318717e", ("HDLC SNRM to 00020023 from 21, FCS right",))
ASSOCIATING: Sequence[Said] = (
    (
        "sent",
        "6036a1090607608574050801018a0207808b0760857405080201ac0a8008" + "**" * 8 + "be10",
        (
            "Aarq (56 octets)",
            "  application_context: 1 logical-name",
            "  mechanism: 1 low",
            "  authentication_value: not shown",
        ),
    ),
    (
        "received",
        "6129a109060760857405080101a203020100a305a103020100be10",
        ("Aare (43 octets)", "  result: 0 accepted", "  diagnostic: 0 null"),
    ),
)
READING: Sequence[Said] = (
    (
        "sent",
        "c001c100030100010800ff0200",
        (
            "GetRequestNormal (13 octets)",
            "  invoke_id_and_priority: 193 (0xC1)",
            "  attribute: 3:1.0.1.8.0.255:2 (register, value)",
        ),
    ),
    (
        "received",
        "c401c10006000013ba",
        ("GetResponseNormal (9 octets)", "  result: ", "    double-long-unsigned 5050"),
    ),
    (
        "received",
        "d80101",
        (
            "ExceptionResponse (3 octets)",
            "  state_error: 1 service-not-allowed",
            "  text: <script>alert(1)</script>",
        ),
    ),
)


def note(text: str) -> Said:
    return "note", "", (text,)


class Conversations:
    """Asks of the double's own commands; each look is counted."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.looks = 0
        self.truncated = False

    async def asked_for(self, actor: Actor, meter: str, limit: int) -> Sequence[CommandRow]:
        rows = reversed(self._all.check(actor, Permission.READ).commands.values())
        return [row for row in rows if (row.kind, row.meter) == (KIND, meter)][:limit]

    async def get(self, actor: Actor, command: str) -> ConversationRow:
        fleet = self._all.check(actor, Permission.READ)
        row = fleet.commands[command]
        if row.state not in {"confirmed", "failed"}:
            raise NotFound(f"command {command} has brought no conversation")
        self.looks += 1
        silence = note("nothing arrived for 5 s")
        answered = (*ASSOCIATING, *READING)
        tried = (SNRM, silence, SNRM, silence, note("stopped, timeout: no answer on the link"))
        said = answered if row.state == "confirmed" else tried
        told = [note("the line is open"), *said, note("the line is closed")]
        utterances = tuple(
            UtteranceRow(
                row.created_at + timedelta(seconds=place),
                what,
                octets,
                len(octets) // 2,
                tuple(says),
            )
            for place, (what, octets, says) in enumerate(told)
        )
        sums = {
            side: sum(each.octet_count for each in utterances if each.what == side)
            for side in ("sent", "received")
        }
        count = len(utterances) + 3 * self.truncated
        return ConversationRow(
            command, row.meter, row.gateway, utterances, count, *sums.values(), self.truncated
        )
