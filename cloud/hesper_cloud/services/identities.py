"""Whom a token speaks for, of whichever kind; looked up in the databases at every use."""

from datetime import timedelta

from sqlalchemy import ColumnElement, select

from hesper_cloud.accounts import areas, tokens
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.accounts.tokens import Claim, MachineTokens, TokenRefused
from hesper_cloud.db.authority import ApiToken, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import TokenUse, WebSession
from hesper_cloud.services.errors import Invalid, NotAuthenticated
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import told_by

_NOTED_EVERY = timedelta(minutes=1)


class Identities:
    """Looks up who speaks; everything here blocks."""

    def __init__(self, sources: Sources, machine: MachineTokens) -> None:
        self._sources = sources
        self._machine = machine

    def actor_of(self, token: str, source: str) -> Actor:
        """Returns whom a token speaks for, and notes that an API token was used.

        Raises:
            NotAuthenticated: it speaks for nobody any more.
        """
        if tokens.is_api_token(token):
            return self._bearer_of(token, source)
        if not tokens.is_signed(token):
            return self._claimed(self._stored_claim(token))
        try:
            claim = self._machine.check(token, self._sources.clock())
        except TokenRefused as refusal:
            raise NotAuthenticated(told_by(refusal)) from None
        if claim.token_id is None:
            return self._claimed(claim)
        return self._holder(self._token(ApiToken.id == claim.token_id))

    def api_token(self, token: str) -> str:
        """Returns the id of an API token that is good now.

        Raises:
            Invalid: it is none.
            NotAuthenticated: it is not good any more.
        """
        if not tokens.is_api_token(token):
            raise Invalid("send an API token; a browser or a person has no need of another")
        return self._token(ApiToken.digest == tokens.digest(token)).id

    def user(self, username: str) -> User | None:
        """Returns an account that is not disabled."""
        with reading(self._sources.authority) as session:
            user = session.get(User, username)
        return user if user and not user.disabled else None

    def actor(self, user: User, scopes: frozenset[Permission] | None = None) -> Actor:
        """Returns an account as who acts, with the areas that lie within its areas."""
        if user.scopes is not None:
            own = frozenset(map(Permission, user.scopes))
            scopes = own if scopes is None else own & scopes
        if user.areas is None:
            return Actor(user.username, Role(user.role), scopes=scopes)
        with reading(self._sources.registry) as session:
            seen = areas.within(session, user.areas)
        return Actor(user.username, Role(user.role), seen, scopes)

    def _claimed(self, claim: Claim) -> Actor:
        user = self.user(claim.username)
        if user is None or user.token_version != claim.version:
            raise NotAuthenticated("the account was changed or disabled; log in again")
        return self.actor(user)

    def _stored_claim(self, token: str) -> Claim:
        query = select(WebSession).where(
            WebSession.token_digest == tokens.digest(token), WebSession.lasts(self._sources.clock())
        )
        with reading(self._sources.registry) as session:
            row = session.scalar(query)
        if row is None:
            raise NotAuthenticated("the session has ended; log in again")
        return Claim(row.username, row.token_version)

    def _bearer_of(self, token: str, source: str) -> Actor:
        row = self._token(ApiToken.digest == tokens.digest(token))
        actor = self._holder(row)
        self._note_use(row.id, source)
        return actor

    def _token(self, which: ColumnElement[bool]) -> ApiToken:
        with reading(self._sources.authority) as session:
            row = session.scalar(select(ApiToken).where(which))
        if row is None or row.revoked_at is not None or row.expires_at <= self._sources.clock():
            raise NotAuthenticated("the token is unknown, expired or revoked")
        return row

    def _holder(self, row: ApiToken) -> Actor:
        user = self.user(row.username)
        if user is None:
            raise NotAuthenticated("the account of this token is disabled")
        return self.actor(user, frozenset(map(Permission, row.scopes)))

    def _note_use(self, token_id: str, source: str) -> None:
        now = self._sources.clock()
        with reading(self._sources.registry) as session:
            known = session.get(TokenUse, token_id)
        if known is None or now - known.last_used_at >= _NOTED_EVERY:
            with writing(self._sources.registry) as session:
                session.merge(TokenUse(token=token_id, last_used_at=now, source=source))
