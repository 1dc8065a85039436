"""Login and logout."""

from datetime import datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, SecretStr

from hesper_cloud.api.who import COOKIE, Have, Who, check_origin
from hesper_cloud.api.wire import answer

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
    """Who the token speaks for."""

    username: str
    role: str


@router.post("/login", response_model=LoggedIn)
async def login(request: Request, credentials: Credentials, services: Have) -> Response:
    """Checks the password; answers with a bearer token and sets the session cookie."""
    check_origin(request)
    source = request.client.host if request.client else "unknown"
    password = credentials.password.get_secret_value()
    code = credentials.code.get_secret_value()
    session = await services.accounts.login(credentials.username, password, source, code)
    response = answer(
        {
            "username": session.actor.username,
            "role": session.actor.role,
            "token": session.signed,
            "token_type": "bearer",
            "expires_at": session.signed_expires_at,
        }
    )
    response.set_cookie(
        COOKIE,
        session.token,
        expires=session.expires_at,
        httponly=True,
        samesite="strict",
        secure=services.sources.settings.web.secure_cookies or request.url.scheme == "https",
    )
    return response


@router.post("/logout", status_code=204)
async def logout(request: Request, services: Have, _actor: Who) -> Response:
    """Ends the browser session."""
    await services.accounts.logout(request.cookies.get(COOKIE, ""))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response


@router.get("/me", response_model=Me)
async def me(actor: Who) -> Response:
    """Says who is asking."""
    return answer({"username": actor.username, "role": actor.role})
