"""Login and sessions; accounts themselves belong to the authority's database."""

import asyncio
import contextlib
import time
import uuid
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session as DatabaseSession

from hesper_cloud.accounts import backoff, tokens
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.passwords import verify_password
from hesper_cloud.accounts.roles import Actor
from hesper_cloud.accounts.tokens import Claim, MachineTokens
from hesper_cloud.authority import people, second_factor
from hesper_cloud.db.authority import ApiToken, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import WebSession
from hesper_cloud.db.watch import Watch
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import CodeNeeded, LoginRefused, NotAuthenticated, Refused
from hesper_cloud.services.identities import Identities
from hesper_cloud.services.once_per_key import OncePerKey
from hesper_cloud.services.records import Session, SignedToken, Visit
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import told_by

_RECHECK_S = 1.0
_LOOK_S = 0.05
_BLIND_LOOK_S = 0.5
_CACHE_LIMIT = 10_000
_NAME_LIMIT = 64
_PASSWORD_LIMIT = 1024
_CODE_LIMIT = 64
_AGENT_LIMIT = 200


class Accounts:
    """Knows who speaks. An actor is looked up again at most a second after the last time."""

    def __init__(self, sources: Sources, link: AuthorityLink, machine: MachineTokens) -> None:
        self._sources = sources
        self._link = link
        self._machine = machine
        self._identities = Identities(sources, machine)
        self._lifetime = timedelta(hours=sources.settings.web.session_hours)
        self._known: dict[str, tuple[float, Actor]] = {}
        self._changed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._ends = OncePerKey(self._end_of)

    async def login(
        self, username: str, password: str, source: str, code: str = "", agent: str = ""
    ) -> Session:
        """Opens a session and signs a token. ``source`` is the caller's network address.

        Raises:
            LoginRefused: wrong name or password, or too many tries; it says how long to wait.
            CodeNeeded: the account has a second factor and no code came.
            Unavailable: the authority, which alone can check the code, does not answer.
        """
        name = "".join(filter(str.isprintable, username.strip()))[:_NAME_LIMIT]
        proof = Proof(password[:_PASSWORD_LIMIT], code.strip()[:_CODE_LIMIT])
        user = await asyncio.to_thread(self._check, name, proof.password, source)
        if await asyncio.to_thread(self._has_factor, user.username):
            await self._check_code(user.username, proof)
        visit = Visit(source, agent[:_AGENT_LIMIT], "password")
        return await asyncio.to_thread(self._admit, user, visit)

    async def admit(self, username: str, visit: Visit) -> Session:
        """Opens a session for somebody who has proved elsewhere who they are.

        Raises:
            LoginRefused: the account is disabled.
        """
        user = await asyncio.to_thread(self._identities.user, username)
        if user is None:
            raise LoginRefused("the account is disabled")
        return await asyncio.to_thread(self._admit, user, visit)

    async def signed(self, token: str) -> SignedToken:
        """Returns a signed token, good for minutes, for an API token that is good now.

        Raises:
            NotAuthenticated: it is none, expired or revoked.
        """
        actor = await self.actor_of(token)
        token_id = await asyncio.to_thread(self._identities.api_token, token)
        now = self._sources.clock()
        signed = self._machine.issue(Claim(actor.username, 0, token_id), now)
        return SignedToken(actor, signed, now + self._machine.lifetime)

    async def actor_of(self, token: str, source: str = "") -> Actor:
        """Returns whom a token speaks for, of whichever kind.

        Raises:
            NotAuthenticated: log in again.
        """
        known = self.lately_known(token)
        if known is not None:
            return known
        try:
            actor = await asyncio.to_thread(self._identities.actor_of, token, source)
        except NotAuthenticated:
            self._known.pop(token, None)
            raise
        if len(self._known) >= _CACHE_LIMIT:
            self._known.clear()
        self._known[token] = (time.monotonic(), actor)
        self._wanted.set()
        return actor

    def lately_known(self, token: str) -> Actor | None:
        """Returns whom a token speaks for if that was looked up in the last second, else None."""
        known = self._known.get(token)
        if known is not None and time.monotonic() - known[0] < _RECHECK_S:
            return known[1]
        return None

    async def until_ended(self, token: str) -> str:
        """Waits until a token speaks for nobody, or for somebody who may something else.

        Returns why. Every open socket waits for this beside its work; those of one token share the
        looks. A change of an account is seen at once, everything else at the next look, a second
        later.
        """
        return await self._ends.of(token)

    async def _end_of(self, token: str) -> str:
        try:
            first = await self.actor_of(token)
            while await self.actor_of(token) == first:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _RECHECK_S)
        except NotAuthenticated as over:
            return str(over)
        return "the account was changed"

    def forget(self) -> None:
        """Has everybody looked up again, and wakes those who wait for an end."""
        self._known.clear()
        self._wanted.clear()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def run(self) -> None:
        """Follows the authority's accounts, so that what it ends is ended at once.

        Rests while it knows nobody. Where `Watch` cannot tell of changes it asks more seldom.
        """
        watch = Watch(self._sources.settings.database.authority_url)
        pause_s = _LOOK_S if watch.tells else _BLIND_LOOK_S
        try:
            watch.changed()
            before = await asyncio.to_thread(self._accounts)
            while True:
                await self._wanted.wait()
                if watch.changed():
                    after = await asyncio.to_thread(self._accounts)
                    if after != before:
                        self.forget()
                    before = after
                await asyncio.sleep(pause_s)
        finally:
            watch.close()

    async def logout(self, token: str) -> None:
        """Ends a browser session, and every page that is open in it."""
        await asyncio.to_thread(self._end, token)
        self.forget()

    async def _check_code(self, username: str, proof: Proof) -> None:
        if not proof.code:
            raise CodeNeeded("the code of your second factor, please")
        payload, key = {"account": username}, uuid.uuid4().hex
        try:
            await self._link.ask(username, people.CHECK_LOGIN, payload, key, proof.to_text())
        except Refused as refusal:
            raise LoginRefused(told_by(refusal)) from None

    def _accounts(self) -> object:
        """Returns what tells whether any account or token has changed."""
        users = select(User.username, User.token_version, User.disabled, User.role, User.areas)
        revoked = select(func.count()).where(ApiToken.revoked_at.is_not(None))
        with reading(self._sources.authority) as session:
            found = [tuple(row) for row in session.execute(users.order_by(User.username))]
            return found, session.scalar(revoked)

    def _has_factor(self, username: str) -> bool:
        with reading(self._sources.authority) as session:
            return second_factor.of(session, username) is not None

    def _admit(self, user: User, visit: Visit) -> Session:
        why = None if visit.method == "password" else visit.method
        self._link.leave_note(user.username, "login", f"from {visit.source}", why)
        token, now = tokens.new_token(), self._sources.clock()
        row = WebSession(
            token_digest=tokens.digest(token),
            username=user.username,
            token_version=user.token_version,
            created_at=now,
            expires_at=now + self._lifetime,
            source=visit.source,
            agent=visit.agent or None,
            method=visit.method,
        )
        with writing(self._sources.registry) as session:
            session.execute(delete(WebSession).where(~WebSession.lasts(now)))
            session.add(row)
        return Session(
            token=token,
            actor=self._identities.actor(user),
            expires_at=row.expires_at,
            signed=self._machine.issue(Claim(user.username, user.token_version), now),
            signed_expires_at=now + self._machine.lifetime,
        )

    def _check(self, username: str, password: str, source: str) -> User:
        now = self._sources.clock()
        with writing(self._sources.registry) as session:
            at_home = self._has_session(session, username, source)
            subjects = backoff.subjects_of(username, source, at_home=at_home)
            wait_s = backoff.wait_s(session, subjects, now)
            if wait_s <= 0:
                backoff.count_failure(session, subjects, now)
        if wait_s > 0:
            raise LoginRefused("too many failed logins; wait before the next", wait_s)
        user = self._identities.user(username)
        if not verify_password(password, user.password_hash if user else None) or user is None:
            with reading(self._sources.registry) as session:
                wait_s = backoff.wait_s(session, subjects, now)
            self._link.leave_note(username or "?", "login.refused", f"from {source}", None)
            raise LoginRefused("name or password is wrong", wait_s)
        with writing(self._sources.registry) as session:
            backoff.forgive(session, subjects)
        return user

    def _has_session(self, session: DatabaseSession, username: str, source: str) -> bool:
        query = select(WebSession.username).where(
            WebSession.username == username,
            WebSession.source == source,
            WebSession.lasts(self._sources.clock()),
        )
        return session.scalar(query.limit(1)) is not None

    def _end(self, token: str) -> None:
        with writing(self._sources.registry) as session:
            known = WebSession.token_digest == tokens.digest(token)
            session.execute(delete(WebSession).where(known))
