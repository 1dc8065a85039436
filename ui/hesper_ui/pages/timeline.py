"""Commands one below the other, newest first, each with how far it came."""

from collections.abc import Sequence

from hesper_ui import states
from hesper_ui.elements import Text, box, link, mark, moment
from hesper_ui.services import CommandRow
from hesper_ui.views import relay
from hesper_ui.views.looks import (
    APPROVED,
    STEPS,
    command_kind,
    command_state,
    evidence,
    steps_reached,
)
from hesper_ui.views.wording import capital
from hesper_ui.words import say


def draw(commands: Sequence[CommandRow]) -> None:
    """Draws the commands of one meter, or of one gateway."""
    if commands:
        entries(commands, with_meter=False)
    else:
        states.empty("No command yet", "Requests appear here with every state they pass.")


def entries(commands: Sequence[CommandRow], *, with_meter: bool) -> None:
    """Draws the timeline itself."""
    with box("ul", "timeline dated"):
        for command in commands:
            _entry(command, with_meter)


def _entry(command: CommandRow, with_meter: bool) -> None:
    look = command_state(command.state, command.kind)
    with box("li", data_state=command.state):
        with box("div", "when"):
            moment(command.created_at, "date")
        mark(look.mark)
        with box("div", "what"):
            with box("div"):
                Text(command_kind(command.kind))
                if with_meter:
                    Text(" · ", classes="meta")
                    addressee(command)
                Text(": ")
                Text(say(look.word), "strong")
            Text(_people(command), "div", "meta")
            if told := evidence(command):
                Text(capital(told), "div", "meta")
            if command.is_open:
                steps(command)


def addressee(command: CommandRow) -> None:
    """Draws whom a command is for: a meter, or a gateway itself."""
    if command.meter:
        link(command.meter, f"/meters/{command.meter}")
    else:
        link(command.gateway, f"/gateways/{command.gateway}")


def _people(command: CommandRow) -> str:
    said = say("asked by {who}", who=command.requester)
    if command.approver:
        said = say("{asked}, approved by {who}", asked=said, who=command.approver)
    return f"{said} · {relay.reason(command.reason)}" if command.reason else said


def steps(command: CommandRow) -> None:
    """Draws the way of a command and how far it has come."""
    reached = steps_reached(command.state)
    if reached is None:
        return
    approval_counts = command.approver is not None or command.state == "awaiting_approval"
    way = (*STEPS[:-1], command_state("confirmed", command.kind).word)
    with box("ol", "steps", aria_label=say("Progress")):
        for index, step in enumerate(way):
            if step == APPROVED and not approval_counts:
                continue
            done = index <= reached - 1 or (index == 0)
            Text(
                say(step),
                "li",
                "step",
                data_reached=done,
                aria_current="step" if index == reached else None,
            )
