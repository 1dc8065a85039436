"""The top of a meter's page: how it is, what its relay says, and what may be asked of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui import ui

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import emergency
from hesper_ui.dialogs.proving import is_coded
from hesper_ui.dialogs.relay import RelayDialog
from hesper_ui.dialogs.sheet import asking, attempted
from hesper_ui.elements import Text, ago, block, box, button, link, mark
from hesper_ui.pages import timeline
from hesper_ui.services import (
    Actor,
    AlertRow,
    CommandRow,
    CommandWish,
    MeterDetail,
    Permission,
    RelayAction,
)
from hesper_ui.views import batches, relay
from hesper_ui.views.looks import (
    Look,
    command_kind,
    command_state,
    meter_state,
    relay_state,
    severity,
)
from hesper_ui.views.wording import capital, power, sentence
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
_LABELS: dict[RelayAction, tuple[str, str]] = {
    "disconnect": (later("Disconnect supply…"), "danger"),
    "reconnect": (later("Reconnect supply…"), ""),
}
_GLASS: dict[RelayAction, str] = {
    "disconnect": later("Emergency: disconnect…"),
    "reconnect": later("Emergency: reconnect…"),
}


@dataclass(frozen=True, slots=True)
class Head:
    """What is drawn: the meter, its open alerts, and whether the head end has its broker."""

    meter: MeterDetail
    alerts: Sequence[AlertRow]
    is_anybody_heard: bool


def draw(desk: Desk, actor: Actor, head: Head, dialogs: ui.element, done: Done) -> None:
    """Draws title, status line, actions, what is wrong, and what stands in the way."""
    detail, row = head.meter, head.meter.row
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(row.id, "h1", tabindex="-1")
            _status_line(detail, meter_state(row, is_anybody_heard=head.is_anybody_heard))
        with box("div", "actions"):
            if actor.may(Permission.REQUEST_COMMAND):
                _read_now(desk, detail, done)
                for action in relay.offered(detail):
                    _action(desk, detail, action, dialogs, done)
                _more(desk, detail, dialogs, done)
            else:
                Text(
                    say("Your role ({role}) may look, not command.", role=say(actor.role.value)),
                    "p",
                    "meta",
                )
    if row.life_support:
        text = say("Life support: someone at this address depends on the supply.")
        states.notice("warning", text, "warning").style("margin-top: 12px")
    for alert in head.alerts:
        alert_notice(alert)
    if detail.pending_command is not None:
        _pending(detail.pending_command)
    elif actor.may(Permission.REQUEST_COMMAND):
        _why_not(detail)


def _status_line(detail: MeterDetail, online: Look) -> None:
    row = detail.row
    relay_look = relay_state(row)
    with box("div", "meta status-line"):
        with box("span", "marked"):
            mark(online.mark)
            Text(capital(say(online.word)))
            Text(say("· last contact"))
            ago(row.last_contact_at)
        with box("span", "marked"):
            mark(relay_look.mark)
            Text(say("Relay"))
            Text(say(relay_look.word), "strong")
            Text(say("· confirmed"))
            ago(row.relay_confirmed_at)
        number, unit = power(detail.load_w)
        with box("span", "marked"):
            Text(say("Load"))
            Text(f"{number} {unit}" if detail.load_w is not None else number, "strong")
            if detail.load_at is not None:
                Text("·")
                ago(detail.load_at)


def alert_notice(alert: AlertRow) -> None:
    """Draws one open alert above what it is about."""
    tone = alert.severity if alert.severity in ("critical", "warning") else ""
    with (
        states.notice(severity(alert.severity).mark, sentence(alert.text), tone)
        .props("role=status")
        .style("margin-top: 12px"),
        box("div", "meta"),
    ):
        if alert.acknowledged_by:
            Text(say("acknowledged by {who}", who=alert.acknowledged_by) + " · ")
        ago(alert.raised_at)


def _read_now(desk: Desk, detail: MeterDetail, done: Done) -> None:
    """Offers to read the relay."""

    async def ask(key: str) -> CommandRow:
        actor, commands = await desk.actor(), desk.services.commands
        return await commands.request_relay(actor, detail.row.id, "read", "", "", key)

    control = button("Read relay now", asking(ask, done), acts=True).mark("ask-read")
    pending = detail.pending_command
    block(control, pending is not None and pending.kind == "relay.read")


def _action(
    desk: Desk, detail: MeterDetail, action: RelayAction, dialogs: ui.element, done: Done
) -> None:
    label, kind = _LABELS[action]
    why_not = relay.blocked(detail, action)
    control = button(
        label,
        lambda: RelayDialog(desk, detail, action, done).open(dialogs),
        kind,
        acts=True,
        title=why_not,
    ).mark(f"ask-{action}")
    block(control, why_not is not None)


def _more(desk: Desk, detail: MeterDetail, dialogs: ui.element, done: Done) -> None:
    """Offers what is rarely needed: asking whether it answers, its registers, the emergency."""

    def asks(kind: str, parameters: dict[str, object]) -> Callable[[], Awaitable[None]]:
        async def ask(key: str) -> CommandRow:
            wish = CommandWish(kind, detail.row.id, parameters, "")
            return await desk.services.commands.request(await desk.actor(), wish, key)

        return asking(ask, done)

    def breaks(action: RelayAction) -> Callable[[], Awaitable[None]]:
        async def ask() -> None:
            coded = await is_coded(desk)
            emergency.break_glass(desk, detail, action, coded, dialogs, done)

        return attempted(ask)

    with box("details", "menu"):
        Text(say("More"), "summary", "btn")
        with box("div", "menu-body"):
            button("Ping", asks("ping", {}), "quiet", acts=True).mark("ask-ping")
            registers = dict(batches.PARAMETERS["read.registers"])
            button("Read registers", asks("read.registers", registers), "quiet", acts=True)
            for action in relay.offered(detail):
                label = _GLASS[action]
                button(label, breaks(action), "quiet danger", acts=True).mark(f"glass-{action}")


def _why_not(detail: MeterDetail) -> None:
    reasons: dict[str, list[str]] = {}
    for action in relay.offered(detail):
        reason = relay.blocked(detail, action)
        if reason:
            reasons.setdefault(reason, []).append(say(_LABELS[action][0]).rstrip("…"))
    for reason, actions in reasons.items():
        text = say("Blocked: {actions}. {why}", actions=", ".join(actions), why=sentence(reason))
        states.notice("unknown", text).style("margin-top: 12px")


def _pending(command: CommandRow) -> None:
    look = command_state(command.state)
    tone = "stale" if command.state == "unknown" else ""
    with box("div", f"notice {tone}".strip(), role="status", data_pending=command.state).style(
        "margin-top: 12px"
    ):
        mark(look.mark)
        with box("div", "grow"):
            with box("div"):
                Text(f"{command_kind(command.kind)}: ")
                Text(say(look.word), "strong")
            asked = say("asked by {who}", who=command.requester)
            why = f": {relay.reason(command.reason)}" if command.reason else ""
            Text(asked + why, "div", "meta")
            timeline.steps(command)
        if command.state == "awaiting_approval":
            link(say("Approvals"), "/commands", "btn small")
