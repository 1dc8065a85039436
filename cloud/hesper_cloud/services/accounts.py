"""Login, sessions and tokens; accounts themselves belong to the authority's database."""

import asyncio
import time
import uuid
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as DatabaseSession

from hesper_cloud.accounts import backoff, tokens
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.passwords import verify_password
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.accounts.tokens import Claim, MachineTokens, TokenRefused
from hesper_cloud.authority import people, second_factor
from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import WebSession
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import CodeNeeded, LoginRefused, NotAuthenticated, Refused
from hesper_cloud.services.records import Session
from hesper_cloud.services.sources import Sources

_RECHECK_S = 1.0
_CACHE_LIMIT = 10_000
_NAME_LIMIT = 64
_PASSWORD_LIMIT = 1024
_CODE_LIMIT = 64


class Accounts:
    """Knows who speaks. An actor is looked up again at most a second after the last time."""

    def __init__(self, sources: Sources, link: AuthorityLink, machine: MachineTokens) -> None:
        self._sources = sources
        self._link = link
        self._machine = machine
        self._lifetime = timedelta(hours=sources.settings.web.session_hours)
        self._known: dict[str, tuple[float, Actor]] = {}

    async def login(self, username: str, password: str, source: str, code: str = "") -> Session:
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
        return await asyncio.to_thread(self._admit, user, source)

    async def actor_of(self, token: str) -> Actor:
        """Returns whom a token speaks for, either kind.

        Raises:
            NotAuthenticated: log in again.
        """
        known = self.lately_known(token)
        if known is not None:
            return known
        try:
            actor = await asyncio.to_thread(self._actor_of, token)
        except NotAuthenticated:
            self._known.pop(token, None)
            raise
        if len(self._known) >= _CACHE_LIMIT:
            self._known.clear()
        self._known[token] = (time.monotonic(), actor)
        return actor

    def lately_known(self, token: str) -> Actor | None:
        """Returns whom a token speaks for if that was looked up in the last second, else None."""
        known = self._known.get(token)
        if known is not None and time.monotonic() - known[0] < _RECHECK_S:
            return known[1]
        return None

    async def logout(self, token: str) -> None:
        """Ends a browser session; pages that are open lose it within a second."""
        self._known.pop(token, None)
        await asyncio.to_thread(self._end, token)

    async def _check_code(self, username: str, proof: Proof) -> None:
        if not proof.code:
            raise CodeNeeded("the code of your second factor, please")
        payload, key = {"account": username}, uuid.uuid4().hex
        try:
            await self._link.ask(username, people.CHECK_LOGIN, payload, key, proof.to_text())
        except Refused as refusal:
            raise LoginRefused(str(refusal)) from None

    def _has_factor(self, username: str) -> bool:
        with reading(self._sources.authority) as session:
            return second_factor.of(session, username) is not None

    def _admit(self, user: User, source: str) -> Session:
        self._link.leave_note(user.username, "login", f"from {source}", None)
        token, now = tokens.new_token(), self._sources.clock()
        row = WebSession(
            token_digest=tokens.digest(token),
            username=user.username,
            token_version=user.token_version,
            created_at=now,
            expires_at=now + self._lifetime,
            source=source,
        )
        with writing(self._sources.registry) as session:
            session.execute(delete(WebSession).where(WebSession.expires_at <= now))
            session.add(row)
        return Session(
            token=token,
            actor=Actor(user.username, Role(user.role)),
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
        user = self._user(username)
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
            WebSession.expires_at > self._sources.clock(),
        )
        return session.scalar(query.limit(1)) is not None

    def _actor_of(self, token: str) -> Actor:
        claim = self._signed_claim(token) if tokens.is_signed(token) else self._stored_claim(token)
        user = self._user(claim.username)
        if user is None or user.token_version != claim.version:
            raise NotAuthenticated("the account was changed or disabled; log in again")
        return Actor(user.username, Role(user.role))

    def _signed_claim(self, token: str) -> Claim:
        try:
            return self._machine.check(token, self._sources.clock())
        except TokenRefused as refusal:
            raise NotAuthenticated(str(refusal)) from None

    def _stored_claim(self, token: str) -> Claim:
        with reading(self._sources.registry) as session:
            row = session.get(WebSession, tokens.digest(token))
        if row is None or row.expires_at <= self._sources.clock():
            raise NotAuthenticated("the session has ended; log in again")
        return Claim(row.username, row.token_version)

    def _user(self, username: str) -> User | None:
        with reading(self._sources.authority) as session:
            user = session.get(User, username)
        return user if user and not user.disabled else None

    def _end(self, token: str) -> None:
        with writing(self._sources.registry) as session:
            known = WebSession.token_digest == tokens.digest(token)
            session.execute(delete(WebSession).where(known))
