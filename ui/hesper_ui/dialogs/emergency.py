"""Setting a rule aside: releasing what was held, break-glass, and what another says of it."""

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs import behind_relay
from hesper_ui.dialogs.decide import Done
from hesper_ui.dialogs.proving import Proving
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services import BreakGlassRow, CommandRow, CommandWish, MeterDetail, RelayAction
from hesper_ui.views import relay
from hesper_ui.views.looks import command_kind
from hesper_ui.words import later, say

VERDICTS = {"justified": later("Justified"), "misused": later("Misused")}


def release(desk: Desk, command: CommandRow, coded: bool, host: ui.element, done: Done) -> None:
    """Opens one approver's word for a held command; the second one's lets it go."""
    whom = command.meter or command.gateway
    with sheet(host, say("Release the command to {whom}?", whom=whom)) as page:
        Text(
            say(
                "It is held because more commands were asked for than one hour may see. Two "
                "approvers must each say that it may go."
            ),
            "p",
        )
        with box("dl", "facts"):
            for name, text in (
                (say("Command"), command_kind(command.kind)),
                (say("Asked by"), command.requester),
                (say("Reason"), relay.reason(command.reason)),
            ):
                Text(name, "dt")
                Text(text, "dd")
        proving = Proving(coded, lambda: page.allow(proving.complete))

        async def send() -> None:
            state = await desk.services.decisions.release(
                await desk.actor(), command.id, proving.proof()
            )
            ui.notify(
                say("Noted; another approver must release it, too.")
                if state == "quarantined"
                else say("Released; it is on its way.")
            )
            await done()

        page.buttons("Not now", "Release", "primary", send)
        page.allow(False)


def break_glass(
    desk: Desk,
    detail: MeterDetail,
    action: RelayAction,
    coded: bool,
    host: ui.element,
    done: Done,
) -> None:
    """Opens the emergency: a command leaves without a second person, and everybody hears of it."""
    meter = detail.row.id
    with sheet(host, say("Break glass: {meter}, without a second person?", meter=meter)) as page:
        Text(relay.words(action, meter, second_person=False).consequence, "p")
        with box("div", "notice warning", role="status"):
            Text(
                say(
                    "Use this only in an emergency. A critical alert is raised at once, and "
                    "another approver must say within 24 hours whether it was justified."
                ),
                classes="grow",
            )
        with box("dl", "facts"):
            behind_relay.draw(detail)

        def check() -> None:
            told = bool(str(reason.value or "").strip())
            tail = relay.tail_matches(meter, str(digits.value or "").strip())
            page.allow(told and tail and proving.complete)

        reason = entry("What is the emergency? (required)", check).mark("emergency")
        digits = entry("Last 4 digits of the serial number (required)", check)
        digits.props("inputmode=numeric maxlength=4").mark("emergency-tail")
        proving = Proving(coded, check)

        async def send() -> None:
            tail = str(digits.value).strip()
            wish = CommandWish(f"relay.{action}", meter, {}, str(reason.value).strip(), tail)
            actor = await desk.actor()
            await desk.services.decisions.break_glass(actor, wish, proving.proof(), page.key)
            ui.notify(say("It is on its way; everybody who must know is told."))
            await done()

        page.buttons("Not now", "Break glass", "danger", send)
        page.allow(False)


def review(desk: Desk, use: BreakGlassRow, coded: bool, host: ui.element, done: Done) -> None:
    """Opens the review of somebody else's use of break-glass."""
    with sheet(host, say("Was this emergency justified?")) as page:
        Text(say("{who} wrote: {why}", who=use.username, why=use.reason), "p")
        if use.meter:
            with box("dl", "facts"):
                Text(say("Meter"), "dt")
                Text(use.meter, "dd")

        def check() -> None:
            told = bool(verdict.value) and bool(str(words.value or "").strip())
            page.allow(told and proving.complete)

        verdict = choice("Verdict (required)", list(VERDICTS), check, VERDICTS)
        verdict.mark("verdict")
        words = entry("What you found (required)", check).mark("review-words")
        proving = Proving(coded, check)

        async def send() -> None:
            await desk.services.decisions.review(
                await desk.actor(),
                use.command,
                str(verdict.value),
                str(words.value).strip(),
                proving.proof(),
            )
            await done()

        page.buttons("Not now", "Sign the review", "primary", send)
        page.allow(False)
