"""API tokens: made and shown once, listed, taken away."""

import asyncio
import uuid

from sqlalchemy import select

from hesper_cloud.accounts import tokens
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority import api_tokens
from hesper_cloud.db.authority import ApiToken
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import TokenUse
from hesper_cloud.services.account_records import NewToken, TokenOrder, TokenRow
from hesper_cloud.services.accounts import Accounts
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

TokenRows = list[TokenRow]


class ApiTokens:
    """The secrets never come back; the authority keeps their digests."""

    def __init__(self, sources: Sources, link: AuthorityLink, accounts: Accounts) -> None:
        self._sources = sources
        self._link = link
        self._accounts = accounts

    async def list(self, actor: Actor, *, of_all: bool = False) -> TokenRows:
        """Returns tokens, newest first: one's own, or for admins and auditors everybody's."""
        if of_all:
            require(actor, Permission.READ_ACCOUNTS)
            require_everywhere(actor, "the list of tokens")
        return await asyncio.to_thread(self._rows, None if of_all else actor.username)

    async def create(self, actor: Actor, order: TokenOrder, proof: Proof) -> NewToken:
        """Makes a token for oneself, or as an admin for a service.

        Raises:
            Refused: scopes that the account has not, too many tokens, or a wrong proof.
        """
        if order.username != actor.username:
            require(actor, Permission.ADMINISTER)
        secret = tokens.new_api_token()
        change = {
            "digest": tokens.digest(secret),
            "name": order.name,
            "scopes": sorted(order.scopes),
            "days": order.days,
        }
        payload, key = {"account": order.username, "change": change}, uuid.uuid4().hex
        outcome = await self._link.ask(actor, api_tokens.CREATE, payload, key, proof.to_text())
        return NewToken(str(outcome["token"]), secret)

    async def revoke(self, actor: Actor, token_id: str) -> None:
        """Takes a token away at once.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        of_all = actor.may(Permission.ADMINISTER)
        rows = await asyncio.to_thread(self._rows, None if of_all else actor.username)
        if token_id not in {row.id for row in rows}:
            raise NotFound(worded("there is no token {token}", token=token_id))
        await self._link.ask(actor, api_tokens.REVOKE, {"token": token_id}, uuid.uuid4().hex)
        self._accounts.forget()

    def _rows(self, username: str | None) -> TokenRows:
        query = select(ApiToken).order_by(ApiToken.created_at.desc(), ApiToken.id)
        if username is not None:
            query = query.where(ApiToken.username == username)
        with reading(self._sources.authority) as session:
            found = session.scalars(query).all()
        with reading(self._sources.registry) as session:
            uses = {use.token: use for use in session.scalars(select(TokenUse))}
        return [_row(token, uses.get(token.id)) for token in found]


def _row(token: ApiToken, use: TokenUse | None) -> TokenRow:
    return TokenRow(
        id=token.id,
        username=token.username,
        name=token.name,
        scopes=tuple(token.scopes),
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        last_used_at=use.last_used_at if use else None,
        last_used_from=use.source if use else None,
    )
