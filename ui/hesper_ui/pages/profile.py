"""One's own account: password, second factor, sessions that are open, tokens of programs."""

from collections.abc import Sequence
from functools import partial

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import own
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Columns, Text, ago, box, button, moment, panel, table
from hesper_ui.pages import display
from hesper_ui.part import Part, look_every
from hesper_ui.places import Place
from hesper_ui.services import Actor, Permission, SessionRow, TokenRow, UserRow
from hesper_ui.views.people import ROLES, places_of
from hesper_ui.words import say

SESSIONS = Columns(("Since", "From", "Browser", "Signed in with", ""), wide_only=frozenset({2}))
TOKENS = Columns(
    ("What it is for", "Account", "May", "Good until", "Last used", ""), wide_only=frozenset({2})
)


async def build(desk: Desk, actor: Actor, _args: PageArguments) -> None:
    """Builds what belongs to whoever is at the desk."""
    host = box("div").style("display: contents")
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Your account"), "h1", tabindex="-1")
        Text(f"{actor.username} · {say(ROLES.get(actor.role, actor.role))}", "p", "meta")
    account = Part(desk, desk.services.members.own, lambda row: _account(desk, host, account, row))
    await account.show()
    display.draw()
    sessions = Part(
        desk,
        lambda asking: desk.services.sessions.list(asking, desk.token),
        lambda rows: _sessions(desk, sessions, rows),
    )
    await sessions.show()
    tokens = Part(
        desk,
        lambda asking: desk.services.api_tokens.list(
            asking, of_all=asking.may(Permission.ADMINISTER)
        ),
        lambda rows: _tokens(desk, host, tokens, rows),
    )
    await tokens.show()
    look_every(10.0, sessions.refresh)


def _account(desk: Desk, host: ui.element, part: Part[UserRow], row: UserRow) -> None:
    with panel("Account"):
        with box("dl", "facts"):
            for name, value in (
                (say("Sees"), places_of(row.areas)),
                (say("E-mail"), row.email or "–"),
            ):
                Text(name, "dt")
                Text(value, "dd")
            Text(say("Second factor"), "dt")
            with box("dd"):
                if row.factor_since is None:
                    Text(say("none: a stolen password is enough to be you"))
                else:
                    Text(say("set up") + " ")
                    ago(row.factor_since)
        with box("div", "row-actions"):
            if row.has_password:
                changing = attempted(partial(own.password, desk, host))
                button("Change password…", changing).mark("own-password")
                setting = attempted(partial(own.factor, desk, host, part.refresh))
                button("Set up a second factor…", setting).mark("own-factor")


def _sessions(desk: Desk, part: Part[Sequence[SessionRow]], rows: Sequence[SessionRow]) -> None:
    async def end(session: str) -> None:
        await desk.services.sessions.end(await desk.actor(), session)
        await part.refresh()

    with panel("Open sessions", "ending one closes its pages at once"):
        table(
            "Open sessions",
            SESSIONS,
            [
                [
                    partial(moment, row.created_at, "date"),
                    row.source,
                    row.agent or "–",
                    say("password") if row.method == "password" else say("single sign-on"),
                    say("this one")
                    if row.is_this
                    else partial(button, "End", attempted(partial(end, row.id)), "quiet"),
                ]
                for row in rows
            ],
        )


def _tokens(
    desk: Desk, host: ui.element, part: Part[Sequence[TokenRow]], rows: Sequence[TokenRow]
) -> None:
    async def make() -> None:
        actor = await desk.actor()
        owners = [actor.username]
        if actor.may(Permission.ADMINISTER):
            people = await desk.services.members.all(actor)
            owners += [row.username for row in people if row.role == "service"]
        await own.token(desk, owners, host, part.refresh)

    async def revoke(token: str) -> None:
        await desk.services.api_tokens.revoke(await desk.actor(), token)
        await part.refresh()

    live = [row for row in rows if row.revoked_at is None]
    with panel("Tokens of programs") as tools:
        with tools:
            button("Make a token…", attempted(make)).mark("make-token")
        if not live:
            states.empty("No token", "A program that asks the API shows one.")
            return
        table(
            "Tokens of programs",
            TOKENS,
            [
                [
                    row.name,
                    row.username,
                    ", ".join(row.scopes),
                    partial(moment, row.expires_at, "date"),
                    partial(ago, row.last_used_at),
                    partial(button, "Revoke", attempted(partial(revoke, row.id)), "danger quiet"),
                ]
                for row in live
            ],
        )


PLACES = [Place("/profile", "Your account", build)]
