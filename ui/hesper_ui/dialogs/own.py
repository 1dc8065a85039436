"""What people change of their own: password, second factor, tokens."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.person import show_once
from hesper_ui.dialogs.proving import Proving, is_coded
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Text, drawing
from hesper_ui.services import Permission, TokenOrder
from hesper_ui.views import qr
from hesper_ui.views.lists import parted
from hesper_ui.words import say

Done = Callable[[], Awaitable[None]]
MIN_PASSWORD = 10
_DAYS = 90


async def password(desk: Desk, host: ui.element) -> None:
    """Opens the change of one's own password; every session ends by it.

    It is asked for twice: who mistypes what is never shown could not sign in again.
    """
    coded = await is_coded(desk)
    with sheet(host, "Change your password?") as page:
        Text(say("Every session of yours ends, this one too; then sign in with the new one."), "p")
        new = entry("New password, 10 characters or more", lambda: check(), password=True)
        new.props("autocomplete=new-password").mark("new-password")
        again = entry("The new password once more (required)", lambda: check(), password=True)
        again.props("autocomplete=new-password").mark("new-password-again")
        proving = Proving(coded, lambda: check())

        def check() -> None:
            if page.confirm is None or page.complaint is None:
                return
            differs = bool(again.value) and again.value != new.value
            page.complaint.text = say("The two new passwords differ.") if differs else ""
            is_long = len(str(new.value or "")) >= MIN_PASSWORD
            page.allow(is_long and new.value == again.value and proving.complete)

        async def send() -> None:
            await desk.services.members.change_own_password(
                await desk.actor(), proving.proof(), str(new.value)
            )
            ui.navigate.to("/login")

        page.buttons("Not now", "Change", "primary", send)
        page.allow(False)


async def factor(desk: Desk, host: ui.element, done: Done) -> None:
    """Opens the enrolment of a second factor: a code to scan, recovery codes, the first code."""
    coded = await is_coded(desk)
    shown = desk.services.decisions.new_factor(await desk.actor())
    with sheet(host, "Set up a second factor") as page:
        Text(say("Scan this with an authenticator, or type the secret below into it."), "p")
        drawing(qr.svg(shown.uri))
        Text(shown.secret, "code", "secret", data_secret=True)
        Text(say("Keep these recovery codes apart; each is good once, for a lost phone:"), "p")
        with ui.element("ul").classes("codes"):
            for code in shown.recovery_codes:
                Text(code, "li")
        first = entry("The code that it shows now (required)", lambda: check())
        first.props("autocomplete=one-time-code maxlength=8").mark("first-code")
        proving = Proving(coded, lambda: check())

        def check() -> None:
            if page.confirm is not None:
                page.allow(bool(str(first.value or "").strip()) and proving.complete)

        async def send() -> None:
            code = str(first.value).strip()
            await desk.services.decisions.enrol(await desk.actor(), shown, code, proving.proof())
            ui.notify(say("From now on you give a code beside your password."))
            await done()

        page.buttons("Not now", "Set up", "primary", send)
        page.allow(False)


async def token(desk: Desk, owners: Sequence[str], host: ui.element, done: Done) -> None:
    """Opens the making of an API token; the first of ``owners`` is the person itself."""
    coded = await is_coded(desk)
    with sheet(host, "Make a token") as page:
        Text(say("A program that shows it may what it names, and no more than its account."), "p")
        owner = ui.select(list(owners), value=owners[0], label=say("For"))
        owner.props("outlined dense options-dense").mark("token-owner")
        name = entry("What it is for (required)", lambda: check()).mark("token-name")
        may = str(Permission.READ)
        scopes = entry("What it may, with commas", lambda: check(), value=may).mark("token-scopes")
        days = ui.number(say("Days"), value=_DAYS, min=1, max=366, precision=0)
        days.props("outlined dense").mark("token-days")
        proving = Proving(coded, lambda: check())

        def check() -> None:
            if page.confirm is not None:
                told = bool(str(name.value or "").strip() and str(scopes.value or "").strip())
                page.allow(told and proving.complete)

        async def send() -> None:
            order = TokenOrder(
                str(owner.value),
                str(name.value).strip(),
                tuple(parted(str(scopes.value))),
                int(days.value or _DAYS),
            )
            actor = await desk.actor()
            made = await desk.services.api_tokens.create(actor, order, proving.proof())
            await done()
            show_once(host, say("The token"), made.secret)

        page.buttons("Not now", "Make", "primary", send)
        page.allow(False)
