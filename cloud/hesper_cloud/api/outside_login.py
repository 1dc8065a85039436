"""The two addresses of a log-in elsewhere: off to the provider, and back.

They are for browsers. The session's cookie is one that no other site can have sent, so a page of
our own lies between the way back and the console: a redirect would still be the provider's doing.
"""

from html import escape
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from hesper_cloud.accounts.cookies import WHY
from hesper_cloud.api.auth import set_session
from hesper_cloud.api.who import Have, is_secure, source_of
from hesper_cloud.services.errors import NotFound, ServiceError
from hesper_cloud.services.outside_login import WAITS
from hesper_cloud.services.records import Visit

router = APIRouter(include_in_schema=False)
_COOKIE = "hesper_oidc"
_AGENT_LIMIT = 200
_WHY_S = 30
_ONWARD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Hesper</title>'
    '<meta http-equiv="refresh" content="0;url={target}"><a href="{target}">Go on</a></html>'
)


@router.get("/login/oidc")
async def begin(request: Request, services: Have, next: str = "/") -> Response:  # noqa: A002
    """Sends a browser to the provider."""
    try:
        begun = await services.outside_login.begin(_local(next))
    except NotFound:
        raise
    except ServiceError as refusal:
        return _back_to_login(request, str(refusal))
    response = RedirectResponse(begun.address, status_code=303)
    secure = is_secure(request)
    response.set_cookie(
        _name(secure),
        begun.kept,
        max_age=int(WAITS.total_seconds()),
        httponly=True,
        samesite="lax",  # it has to come along on the way back from the provider
        secure=secure,
        path="/",
    )
    return response


@router.get("/login/oidc/callback")
async def finish(
    request: Request, services: Have, state: str = "", code: str = "", error: str = ""
) -> Response:
    """Receives a browser back and opens its session."""
    secure = is_secure(request)
    if error or not code:
        return _back_to_login(request, "the provider let nobody in")
    agent = request.headers.get("user-agent", "")[:_AGENT_LIMIT]
    visit = Visit(source_of(request), agent, "oidc")
    kept = request.cookies.get(_name(secure), "")
    try:
        session, target = await services.outside_login.finish(kept, state, code, visit)
    except ServiceError as refusal:
        return _back_to_login(request, str(refusal))
    response = HTMLResponse(_ONWARD.format(target=escape(target, quote=True)))
    response.headers["Cache-Control"] = "no-store"
    set_session(response, session, secure=secure)
    response.delete_cookie(_name(secure), secure=secure, httponly=True, samesite="lax")
    return response


def _name(secure: bool) -> str:
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def _local(target: str) -> str:
    """Returns ``target`` if it leads to one of our own pages, else the first page."""
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if plain and target.isprintable() else "/"


def _back_to_login(request: Request, why: str) -> Response:
    """Sends a browser to the sign-in page, which says why; no link can put words there."""
    response = RedirectResponse("/login", status_code=303)
    response.set_cookie(
        WHY, quote(why), max_age=_WHY_S, httponly=True, samesite="lax", secure=is_secure(request)
    )
    return response
