"""Users and roles: who may come in, what they may and where; disabling closes what is open."""

from collections.abc import Callable, Sequence
from functools import partial

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings
from hesper_ui.desk import Desk
from hesper_ui.dialogs import person
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Cell, Columns, Text, ago, box, button, marked, panel, table
from hesper_ui.part import Part, look_every
from hesper_ui.places import Place
from hesper_ui.services import Actor, Permission, UserRow
from hesper_ui.views.people import ROLES, places_of, state_of
from hesper_ui.words import later, say

COLUMNS = Columns(
    ("Name", "Role", "Sees", "State", "Second factor", "Sessions", "Last sign-in", ""),
    numbers=frozenset({5}),
    wide_only=frozenset({4, 6}),
)


async def build(desk: Desk, actor: Actor, _args: PageArguments) -> None:
    """Builds the list of accounts, and for admins what changes them."""
    keeps = actor.may(Permission.ADMINISTER)
    host = box("div").style("display: contents")

    async def again() -> None:
        await part.refresh()

    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Users & roles"), "h1", tabindex="-1")
            words = "Every change is proved by a password and audited before it takes effect."
            Text(say(words), "p", "meta")
        if keeps:
            adding = attempted(partial(person.add, desk, host, again))
            button("Add an account…", adding, "primary").mark("add-person")
    part = Part(desk, desk.services.members.all, partial(_draw, desk, actor, host, again))
    await part.show()
    look_every(5.0, part.refresh)


def _draw(
    desk: Desk, actor: Actor, host: ui.element, again: person.Done, rows: Sequence[UserRow]
) -> None:
    keeps = actor.may(Permission.ADMINISTER)

    def cells(row: UserRow) -> list[Cell]:
        state = state_of(row)
        return [
            row.username,
            say(ROLES.get(row.role, row.role)),
            places_of(row.areas),
            lambda: marked(state.mark, state.word),
            say("since it was set up") if row.factor_since else "–",
            str(row.open_sessions),
            lambda: ago(row.last_login_at),
            partial(_actions, desk, row, host, again) if keeps else "",
        ]

    with panel("Accounts"):
        table("Accounts", COLUMNS, [cells(row) for row in rows])


def _actions(desk: Desk, row: UserRow, host: ui.element, again: person.Done) -> None:
    def act(words: str, verb: str) -> None:
        doing = attempted(partial(person.decide, desk, row, verb, host, again))
        button(words, doing, "quiet").mark(f"{verb}-{row.username}")

    with box("div", "row-actions"):
        changing: Callable[..., object] = attempted(partial(person.change, desk, row, host, again))
        button("Change…", changing, "quiet").mark(f"change-{row.username}")
        if row.disabled:
            act(later("Enable…"), "enable")
            return
        act(later("Disable…"), "disable")
        if row.has_password:
            act(later("New password…"), "password")
        if row.locked:
            act(later("Unlock…"), "unlock")
        if row.factor_since is not None:
            act(later("Second factor lost…"), "factor")


PLACES = [
    Place(
        "/users",
        "Users & roles",
        build,
        drawings.PEOPLE,
        needs=Permission.READ_ACCOUNTS,
        rank=90,
        key="h",
    )
]
