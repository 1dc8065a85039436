"""Accounts as admins keep them: asked for here, proved to the authority and decided by it."""

import asyncio
import json
import uuid
from typing import Any

from sqlalchemy import delete, func, select

from hesper_cloud.accounts import backoff, passwords
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.authority import members
from hesper_cloud.db.authority import SecondFactor, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import WebSession
from hesper_cloud.services.account_records import NewPassword, UserRow
from hesper_cloud.services.accounts import Accounts
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded


class Members:
    """Every call checks the role first; the authority checks it again, and the admin's password."""

    def __init__(self, sources: Sources, link: AuthorityLink, accounts: Accounts) -> None:
        self._sources = sources
        self._link = link
        self._accounts = accounts

    async def all(self, actor: Actor) -> list[UserRow]:
        """Returns every account, by name."""
        require(actor, Permission.READ_ACCOUNTS)
        require_everywhere(actor, "the list of accounts")
        return await asyncio.to_thread(self._rows)

    async def get(self, actor: Actor, username: str) -> UserRow:
        """Returns one account.

        Raises:
            NotFound: there is none of this name.
        """
        for row in await self.all(actor):
            if row.username == username:
                return row
        raise NotFound(worded("there is no account {username}", username=username))

    async def own(self, actor: Actor) -> UserRow:
        """Returns the account of whoever asks."""
        found = await asyncio.to_thread(self._rows, actor.username)
        if not found:
            raise NotFound(worded("there is no account {username}", username=actor.username))
        return found[0]

    async def create(
        self, actor: Actor, username: str, change: dict[str, Any], proof: Proof
    ) -> NewPassword:
        """Makes an account and returns its first password; a service has none.

        Raises:
            Refused: the name, the terms or the proof do not do.
        """
        is_machine = change.get("role") == Role.SERVICE
        first = "" if is_machine else passwords.generate_password()
        await self._ask(actor, members.CREATE, username, change, proof, first)
        return NewPassword(username, first or None)

    async def change(
        self, actor: Actor, username: str, change: dict[str, Any], proof: Proof
    ) -> UserRow:
        """Changes an account; whatever is open in its name ends, but for a new e-mail address.

        Raises:
            Refused: of oneself, the last admin, or a proof that does not fit.
        """
        await self._ask(actor, members.CHANGE, username, change, proof)
        if change.keys() - {"email"}:
            await self._end_sessions(username)
        return await self.get(actor, username)

    async def reset_password(self, actor: Actor, username: str, proof: Proof) -> NewPassword:
        """Gives an account another first password; its sessions and tokens end."""
        first = passwords.generate_password()
        await self._ask(actor, members.RESET, username, {}, proof, first)
        await self._end_sessions(username)
        return NewPassword(username, first)

    async def unlock(self, actor: Actor, username: str, proof: Proof) -> None:
        """Forgets the failed logins of an account, wherever they came from."""
        await self._ask(actor, members.UNLOCK, username, {}, proof)
        await asyncio.to_thread(self._forgive, username)

    async def drop_factor(self, actor: Actor, username: str, proof: Proof) -> None:
        """Takes an account's second factor away, for a lost one."""
        await self._ask(actor, members.DROP_FACTOR, username, {}, proof)
        await self._end_sessions(username)

    async def change_own_password(self, actor: Actor, proof: Proof, new: str) -> None:
        """Changes one's own password; every session ends, this one too.

        Raises:
            Refused: the present one does not fit, or the new one does not do.
        """
        await self._asked(actor, members.OWN_PASSWORD, {"account": actor.username}, proof, new)
        await self._end_sessions(actor.username)

    async def _ask(
        self,
        actor: Actor,
        kind: str,
        username: str,
        change: dict[str, Any],
        proof: Proof,
        new: str = "",
    ) -> None:
        require(actor, Permission.ADMINISTER)
        await self._asked(actor, kind, {"account": username, "change": change}, proof, new)

    async def _asked(
        self, actor: Actor, kind: str, payload: dict[str, Any], proof: Proof, new: str
    ) -> None:
        sealed = json.dumps({"password": proof.password, "code": proof.code, "new": new})
        await self._link.ask(actor, kind, payload, uuid.uuid4().hex, sealed)

    async def _end_sessions(self, username: str) -> None:
        def end() -> None:
            with writing(self._sources.registry) as session:
                session.execute(delete(WebSession).where(WebSession.username == username))

        await asyncio.to_thread(end)
        self._accounts.forget()

    def _forgive(self, username: str) -> None:
        with writing(self._sources.registry) as session:
            backoff.forget_account(session, username)

    def _rows(self, username: str | None = None) -> list[UserRow]:
        now = self._sources.clock()
        users = select(User).order_by(User.username)
        if username is not None:
            users = users.where(User.username == username)
        with reading(self._sources.authority) as session:
            found = session.scalars(users).all()
            factors = {
                row.username: row.enrolled_at for row in session.scalars(select(SecondFactor))
            }
        opened = select(WebSession.username, func.count(), func.max(WebSession.created_at))
        opened = opened.where(WebSession.lasts(now)).group_by(WebSession.username)
        with reading(self._sources.registry) as session:
            sessions = {name: (count, last) for name, count, last in session.execute(opened)}
            locked = {
                user.username for user in found if backoff.is_locked(session, user.username, now)
            }
        return [
            UserRow(
                username=user.username,
                role=user.role,
                areas=None if user.areas is None else tuple(user.areas),
                scopes=None if user.scopes is None else tuple(user.scopes),
                email=user.email,
                disabled=user.disabled,
                origin=user.origin,
                has_password=bool(user.password_hash),
                factor_since=factors.get(user.username),
                created_at=user.created_at,
                open_sessions=sessions.get(user.username, (0, None))[0],
                last_login_at=sessions.get(user.username, (0, None))[1],
                locked=user.username in locked,
            )
            for user in found
        ]
