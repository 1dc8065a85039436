"""API tokens and browser sessions: one's own, and for admins everybody's."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.api.proven import Proven
from hesper_cloud.api.who import Have, Who, token_of
from hesper_cloud.api.wire import answer
from hesper_cloud.authority.api_tokens import MOST_DAYS
from hesper_cloud.services.account_records import SessionRow, TokenOrder, TokenRow

router = APIRouter(tags=["tokens"])
OfAll = Annotated[bool, Query(alias="all", description="Everybody's, not one's own alone")]
Id = Annotated[str, Path(max_length=64)]


class NewTokenOrder(Proven):
    """A token for oneself or, where a service is named, for that; with the asker's own password."""

    username: str | None = Field(default=None, max_length=64, description="A service's name")
    name: str = Field(min_length=1, max_length=64)
    scopes: list[Permission] = Field(min_length=1)
    days: int = Field(default=90, ge=1, le=MOST_DAYS)


class MadeToken(BaseModel):
    """A token with its secret, shown this one time."""

    id: str
    token: str


class Signed(BaseModel):
    """A signed token (JWT) for a program, good for minutes."""

    username: str
    token: str
    token_type: str
    expires_at: datetime


@router.get("/tokens", response_model=list[TokenRow])
async def tokens(actor: Who, services: Have, of_all: OfAll = False) -> Response:
    """Lists API tokens without their secrets."""
    return answer(await services.api_tokens.list(actor, of_all=of_all))


@router.post("/tokens", response_model=MadeToken, status_code=201)
async def create(actor: Who, services: Have, body: NewTokenOrder) -> Response:
    """Makes a token and shows its secret once."""
    username = body.username or actor.username
    order = TokenOrder(username, body.name, tuple(body.scopes), body.days)
    made = await services.api_tokens.create(actor, order, body.proof)
    return answer({"id": made.id, "token": made.secret}, 201)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke(actor: Who, services: Have, token_id: Id) -> Response:
    """Takes a token away at once."""
    await services.api_tokens.revoke(actor, token_id)
    return Response(status_code=204)


@router.post("/auth/token", response_model=Signed)
async def signed(request: Request, _actor: Who, services: Have) -> Response:
    """Gives a signed token (JWT) for an API token; it ends when that one does."""
    made = await services.accounts.signed(token_of(request))
    return answer(
        {
            "username": made.actor.username,
            "token": made.token,
            "token_type": "bearer",
            "expires_at": made.expires_at,
        }
    )


@router.get("/sessions", response_model=list[SessionRow])
async def sessions(request: Request, actor: Who, services: Have, of_all: OfAll = False) -> Response:
    """Lists browser sessions that are open."""
    return answer(await services.sessions.list(actor, token_of(request), of_all=of_all))


@router.delete("/sessions/{session_id}", status_code=204)
async def end(actor: Who, services: Have, session_id: Id) -> Response:
    """Ends a session at once, with every page that is open in it."""
    await services.sessions.end(actor, session_id)
    return Response(status_code=204)
