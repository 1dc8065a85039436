"""Accounts as admins change them, each time with their own password."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.proving import Proving, is_coded
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, button
from hesper_ui.services import Proof, Role, UserRow, granted
from hesper_ui.views.lists import joined, parted
from hesper_ui.views.people import ROLES
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
_PEOPLE = [role for role in ROLES if role != "service"]


async def add(desk: Desk, host: ui.element, done: Done) -> None:
    """Opens the form of a new account; its first password is shown once."""
    coded = await is_coded(desk)
    with sheet(host, "Add an account") as page:
        name = entry("Name (a-z, 0-9, '.', '_', '-')", lambda: check()).mark("person-name")
        terms = _Terms(None, lambda: check())
        proving = Proving(coded, lambda: check())

        def check() -> None:
            if page.confirm is not None:
                page.allow(bool(str(name.value or "").strip()) and proving.complete)

        async def send() -> None:
            made = await desk.services.members.create(
                await desk.actor(), str(name.value).strip(), terms.change(), proving.proof()
            )
            await done()
            if made.password is not None:
                show_once(host, say("First password of {name}", name=made.username), made.password)

        page.buttons("Not now", "Add", "primary", send)
        page.allow(False)


async def change(desk: Desk, row: UserRow, host: ui.element, done: Done) -> None:
    """Opens the form of an account's role, areas, scopes and address."""
    coded = await is_coded(desk)
    with sheet(host, say("Change {name}?", name=row.username)) as page:
        Text(say("What is open in this name ends at once, but for a new address."), "p")
        terms = _Terms(row, lambda: check())
        proving = Proving(coded, lambda: check())

        def check() -> None:
            if page.confirm is not None:
                page.allow(bool(terms.changed()) and proving.complete)

        async def send() -> None:
            await desk.services.members.change(
                await desk.actor(), row.username, terms.changed(), proving.proof()
            )
            await done()

        page.buttons("Not now", "Change", "primary", send)
        page.allow(False)


_CONSEQUENCES = {
    "disable": later("Every session, page and token of this account ends at once."),
    "enable": later("The account may log in again, with its password."),
    "password": later("It gets another first password; its sessions and tokens end at once."),
    "unlock": later("Its failed logins are forgotten, from wherever they came."),
    "factor": later("It logs in by password alone until it has another second factor."),
}
_TITLES = {
    "disable": later("Disable {name}?"),
    "enable": later("Enable {name}?"),
    "password": later("Another password for {name}?"),
    "unlock": later("Unlock {name}?"),
    "factor": later("Take the second factor of {name} away?"),
}
_ACTS = {
    "disable": later("Disable"),
    "enable": later("Enable"),
    "password": later("New password"),
    "unlock": later("Unlock"),
    "factor": later("Take away"),
}


async def decide(desk: Desk, row: UserRow, verb: str, host: ui.element, done: Done) -> None:
    """Opens one of the decisions about an account that need no form."""
    coded = await is_coded(desk)
    with sheet(host, say(_TITLES[verb], name=row.username)) as page:
        Text(say(_CONSEQUENCES[verb]), "p")
        proving = Proving(coded, lambda: page.allow(proving.complete))

        async def send() -> None:
            secret = await _done(desk, row.username, verb, proving.proof())
            await done()
            if secret is not None:
                show_once(host, say("First password of {name}", name=row.username), secret)

        kind = "danger" if verb in {"disable", "factor"} else "primary"
        page.buttons("Not now", say(_ACTS[verb]), kind, send)
        page.allow(False)


async def _done(desk: Desk, username: str, verb: str, proof: Proof) -> str | None:
    members, actor = desk.services.members, await desk.actor()
    if verb in {"disable", "enable"}:
        await members.change(actor, username, {"disabled": verb == "disable"}, proof)
    elif verb == "password":
        return (await members.reset_password(actor, username, proof)).password
    elif verb == "unlock":
        await members.unlock(actor, username, proof)
    else:
        await members.drop_factor(actor, username, proof)
    return None


def show_once(host: ui.element, title: str, secret: str) -> None:
    """Shows a secret that nobody can show again."""
    with sheet(host, title) as page:
        Text(say("It is shown this one time. Hand it over on a safe way."), "p")
        Text(secret, "code", "secret", data_secret=True)
        button("I have noted it", page.dialog.close, "primary")


class _Terms:
    """The fields of an account's terms, drawn where this is made."""

    def __init__(self, row: UserRow | None, check: Callable[[], object]) -> None:
        self._row = row
        is_machine = row is not None and row.role == "service"
        roles = ["service"] if is_machine else _PEOPLE if row else list(ROLES)
        role = row.role if row else "viewer"
        self._role = choice("Role", roles, self._shown(check), ROLES, role).mark("person-role")
        seen = joined(row.areas) if row and row.areas else ""
        self._areas = entry("Areas, with commas; none: everywhere", check, value=seen)
        self._areas.mark("person-areas")
        granted_now = joined(row.scopes) if row and row.scopes else ""
        self._scopes = entry("What a service may, with commas", check, value=granted_now)
        self._scopes.mark("person-scopes")
        self._scopes.props(f'hint="{", ".join(sorted(granted(Role.SERVICE)))}"')
        self._email = entry("E-mail", check, value=(row.email if row else "") or "")
        self._email.mark("person-email")
        self._scopes.set_visibility(self._role.value == "service")

    def change(self) -> dict[str, Any]:
        """Returns the terms as they stand."""
        areas = parted(str(self._areas.value or ""))
        is_machine = self._role.value == "service"
        return {
            "role": str(self._role.value),
            "areas": areas or None,
            "scopes": parted(str(self._scopes.value or "")) if is_machine else None,
            "email": str(self._email.value or "").strip() or None,
        }

    def changed(self) -> dict[str, Any]:
        """Returns what differs from the account's present terms."""
        row = self._row
        if row is None:
            return self.change()
        before = {
            "role": row.role,
            "areas": None if row.areas is None else list(row.areas),
            "scopes": None if row.scopes is None else list(row.scopes),
            "email": row.email,
        }
        return {name: value for name, value in self.change().items() if value != before[name]}

    def _shown(self, check: Callable[[], object]) -> Callable[[], None]:
        def shown() -> None:
            self._scopes.set_visibility(self._role.value == "service")
            check()

        return shown
