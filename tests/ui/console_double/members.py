"""The double's accounts, sessions and tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.services.account_records import (
    NewPassword,
    NewToken,
    SessionRow,
    TokenOrder,
    TokenRow,
    UserRow,
)
from hesper_cloud.services.errors import NotPermitted, Refused

from console_double.acting import proven

if TYPE_CHECKING:
    from console_double.services import DoubleServices

FIRST, SECRET = "first-pass-word-ever", "hesper_shown-this-one-time"


class Members:
    """Accounts; every change is proved."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        at = datetime.now(UTC)
        self.rows = {
            name: UserRow(
                name, str(role), None, None, None, False, "local", True, None, at, 0, None, False
            )
            for name, role in all_.users.items()
        }

    async def all(self, actor: Actor) -> list[UserRow]:
        if not actor.may(Permission.READ_ACCOUNTS):
            raise NotPermitted("This is not open to your role.")
        return sorted(self.rows.values(), key=lambda row: row.username)

    async def own(self, actor: Actor) -> UserRow:
        return self.rows[actor.username]

    async def create(
        self, actor: Actor, username: str, change: dict[str, Any], proof: Proof
    ) -> NewPassword:
        self._check(actor, proof)
        blank = next(iter(self.rows.values()))
        self.rows[username] = replace(blank, username=username, **_terms(change))
        return NewPassword(username, None if change["role"] == Role.SERVICE else FIRST)

    async def change(
        self, actor: Actor, username: str, change: dict[str, Any], proof: Proof
    ) -> UserRow:
        self._check(actor, proof)
        if username == actor.username:
            raise Refused("nobody changes their own role, areas or state; ask another admin")
        self.rows[username] = replace(self.rows[username], **_terms(change))
        self._all.end_all_of(username)
        return self.rows[username]

    async def reset_password(self, actor: Actor, username: str, proof: Proof) -> NewPassword:
        self._check(actor, proof)
        self._all.end_all_of(username)
        return NewPassword(username, FIRST)

    async def unlock(self, actor: Actor, username: str, proof: Proof) -> None:
        self._check(actor, proof)
        self.rows[username] = replace(self.rows[username], locked=False)

    async def drop_factor(self, actor: Actor, username: str, proof: Proof) -> None:
        self._check(actor, proof)
        self.rows[username] = replace(self.rows[username], factor_since=None)

    async def change_own_password(self, actor: Actor, proof: Proof, new: str) -> None:
        proven(actor, proof)
        self._all.end_all_of(actor.username)

    def _check(self, actor: Actor, proof: Proof) -> None:
        self._all.check(actor, Permission.ADMINISTER)
        proven(actor, proof)


def _terms(change: dict[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(change[name]) for name in ("areas", "scopes") if change.get(name)}
    return change | lists


class Sessions:
    """Those of the double's own sign-in."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_

    async def list(
        self, actor: Actor, token: str = "", *, of_all: bool = False
    ) -> list[SessionRow]:
        now = datetime.now(UTC)
        return [
            SessionRow(
                each[:8], who.username, now, now, "192.0.2.7", "Firefox", "password", each == token
            )
            for each, who in self._all.signed_in.items()
            if of_all or who.username == actor.username
        ]

    async def end(self, actor: Actor, session: str) -> None:
        for token in [each for each in self._all.signed_in if each.startswith(session)]:
            await self._all.accounts.logout(token)


class ApiTokens:
    """Tokens, kept in a list."""

    def __init__(self) -> None:
        self.rows: list[TokenRow] = []

    async def list(self, actor: Actor, *, of_all: bool = False) -> list[TokenRow]:
        return [row for row in self.rows if of_all or row.username == actor.username]

    async def create(self, actor: Actor, order: TokenOrder, proof: Proof) -> NewToken:
        proven(actor, proof)
        now = datetime.now(UTC)
        until = now + timedelta(days=order.days)
        row = TokenRow(
            str(len(self.rows)), order.username, order.name, order.scopes, now, actor.username,
            until, None, None, None,
        )  # fmt: skip
        self.rows.append(row)
        return NewToken(row.id, SECRET)

    async def revoke(self, actor: Actor, token: str) -> None:
        self.rows = [row for row in self.rows if row.id != token]
