"""Login and logout."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, SecretStr

from hesper_cloud.accounts.cookies import cookie_name
from hesper_cloud.api.who import (
    Have,
    Who,
    check_origin,
    is_secure,
    source_of,
)
from hesper_cloud.api.wire import answer
from hesper_cloud.services.records import Session

router = APIRouter(prefix="/auth", tags=["auth"])


class Credentials(BaseModel):
    """Name and password; a code, too, where the account has a second factor."""

    username: str
    password: SecretStr
    code: SecretStr = SecretStr("")


class LoggedIn(BaseModel):
    """A signed token for programs; browsers use the cookie that comes with it."""

    username: str
    role: str
    token: str
    token_type: str
    expires_at: datetime


class Me(BaseModel):
    """Who the token speaks for, where they see and, of a token, what it is for."""

    username: str
    role: str
    areas: tuple[str, ...] | None
    scopes: tuple[str, ...] | None


@router.post("/login", response_model=LoggedIn)
async def login(request: Request, credentials: Credentials, services: Have) -> Response:
    """Checks the password; answers with a bearer token and sets the session cookie."""
    check_origin(request)
    source, agent = source_of(request), request.headers.get("user-agent", "")
    password = credentials.password.get_secret_value()
    code = credentials.code.get_secret_value()
    session = await services.accounts.login(credentials.username, password, source, code, agent)
    response = answer(
        {
            "username": session.actor.username,
            "role": session.actor.role,
            "token": session.signed,
            "token_type": "bearer",
            "expires_at": session.signed_expires_at,
        }
    )
    set_session(response, session, secure=is_secure(request))
    return response


@router.post("/logout", status_code=204)
async def logout(request: Request, services: Have, _actor: Who) -> Response:
    """Ends the browser session."""
    secure = is_secure(request)
    await services.accounts.logout(request.cookies.get(cookie_name(secure), ""))
    response = Response(status_code=204)
    response.delete_cookie(cookie_name(secure), secure=secure, httponly=True, samesite="strict")
    return response


@router.get("/me", response_model=Me)
async def me(actor: Who) -> Response:
    """Says who is asking."""
    scopes = None if actor.scopes is None else sorted(actor.scopes)
    said = {"username": actor.username, "role": actor.role}
    return answer(said | {"areas": actor.areas, "scopes": scopes})


def set_session(response: Response, session: Session, *, secure: bool) -> None:
    """Gives a browser its session: a cookie that no script reads and no other site sends."""
    response.set_cookie(
        cookie_name(secure),
        session.token,
        expires=session.expires_at,
        httponly=True,
        samesite="strict",
        secure=secure,
        path="/",
    )
