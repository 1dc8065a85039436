"""The second person: approving with the password entered again, or rejecting with a reason."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs import behind_relay
from hesper_ui.dialogs.proving import Proving, is_coded
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Text, box, moment
from hesper_ui.services import CommandRow, MeterDetail
from hesper_ui.views import approval_words, parameter_words, relay
from hesper_ui.views.looks import command_kind
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]

_CUTTING = {"relay.disconnect", "tunnel.open", "limiter.write"}


async def approve(
    desk: Desk, command: CommandRow, detail: MeterDetail | None, host: ui.element, done: Done
) -> None:
    """Opens the approval of one command; one for a gateway itself has no meter's detail."""
    coded = await is_coded(desk)
    verb, consequence = approval_words.what_follows(command)
    cutting = command.kind in _CUTTING
    whom = command.meter or command.gateway
    with sheet(
        host,
        say("Approve: {what} to {whom}?", what=command_kind(command.kind), whom=whom),
    ) as page:
        Text(consequence, "p")
        _facts(command, detail)
        proving = Proving(coded, lambda: page.allow(proving.complete))

        async def send() -> None:
            actor = await desk.actor()
            await desk.services.commands.approve(actor, command.id, proving.proof().to_text())
            ui.notify(say("Approved; the {verb} is on its way.", verb=verb))
            await done()

        page.buttons(
            "Not now", say("Approve {verb}", verb=verb), "danger" if cutting else "primary", send
        )
        page.allow(False)


def reject(desk: Desk, command: CommandRow, host: ui.element, done: Done) -> None:
    """Opens the rejection of one command."""
    with sheet(
        host, say("Reject the request for {whom}?", whom=command.meter or command.gateway)
    ) as page:
        Text(say("Everything stays as it is. The requester sees your reason."), "p")
        reason = entry("Reason (required)", lambda: page.allow(bool(str(reason.value).strip())))

        async def send() -> None:
            await desk.services.commands.reject(
                await desk.actor(), command.id, str(reason.value).strip()
            )
            await done()

        page.buttons("Not now", "Reject request", "danger", send)
        page.allow(False)


def _facts(command: CommandRow, detail: MeterDetail | None) -> None:
    with box("dl", "facts"):
        rows = [
            (say("Asked by"), command.requester),
            (say("Reason"), relay.reason(command.reason)),
        ]
        for name, text in rows:
            Text(name, "dt")
            Text(text, "dd")
        for told in parameter_words.told(command.parameters):
            _parameter(told)
        if detail is not None:
            behind_relay.draw(detail)


def _parameter(told: parameter_words.Told) -> None:
    """Writes one parameter; its name in the command is where the pointer rests on its own."""
    Text(told.called, "dt", title=told.name)
    with box("dd"):
        if isinstance(told.said, str):
            Text(told.said)
        else:
            moment(told.said, "date")


def engage_kill_switch(desk: Desk, host: ui.element, done: Done) -> None:
    """Opens the switch that stops every command; one person and a reason are enough."""
    with sheet(host, "Stop all commands?") as page:
        text = later(
            "No command leaves, but those that only read, until two other approvers release the "
            "switch; what is already at a gateway still comes to its end."
        )
        Text(say(text), "p")
        reason = entry("Reason (required)", lambda: page.allow(bool(str(reason.value).strip())))

        async def send() -> None:
            await desk.services.commands.set_kill_switch(
                await desk.actor(), True, str(reason.value).strip(), ""
            )
            await done()

        page.buttons("Not now", "Stop all commands", "danger", send)
        page.allow(False)


async def release_kill_switch(desk: Desk, host: ui.element, done: Done) -> None:
    """Opens the release of the switch: two approvers, each with a reason and the password."""
    coded = await is_coded(desk)
    with sheet(host, "Let commands leave again?") as page:
        text = later(
            "Two approvers, neither of whom set the switch, must say so: the second one's word "
            "releases it. Expired commands stay expired."
        )
        Text(say(text), "p")

        def check() -> None:
            page.allow(bool(str(reason.value).strip()) and proving.complete)

        reason = entry("Reason (required)", check)
        proving = Proving(coded, check)

        async def send() -> None:
            after = await desk.services.commands.set_kill_switch(
                await desk.actor(), False, str(reason.value).strip(), proving.proof().to_text()
            )
            if after.engaged:
                ui.notify(say("Asked for; another approver must release it, too."))
            await done()

        page.buttons("Not now", "Release the switch", "primary", send)
        page.allow(False)


def acknowledge(desk: Desk, alert: int, text: str, host: ui.element, done: Done) -> None:
    """Opens the acknowledgement of one alert."""
    with sheet(host, "Acknowledge this alert?") as page:
        Text(text, "p")
        note = entry("Note (optional)", lambda: None)

        async def send() -> None:
            actor = await desk.actor()
            await desk.services.alerts.acknowledge(actor, alert, str(note.value or "").strip())
            await done()

        page.buttons("Not now", "Acknowledge", "primary", send)
