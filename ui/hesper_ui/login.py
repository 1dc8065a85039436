"""Signing in and out: plain pages and plain forms, outside the console's mount.

The session is an opaque token in a cookie that scripts cannot read and foreign pages cannot send.
"""

from html import escape
from urllib.parse import parse_qs, quote, unquote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from hesper_ui.assets import Assets
from hesper_ui.desk import session_cookie, session_token
from hesper_ui.drawings import STAR
from hesper_ui.services import (
    WHY,
    CodeNeeded,
    LoginRefused,
    NotAuthenticated,
    ServiceError,
    Services,
    Session,
)
from hesper_ui.services.answering import answered
from hesper_ui.tongues import wanted_by
from hesper_ui.views.wording import sentence
from hesper_ui.words import current, say, speaking

_MAX_FORM = 4096
_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{sign_in} · Hesper</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head>
<body><main class="sign-in"><form method="post" action="/login" aria-labelledby="title">
<div class="brand">{star}<h1 id="title">Hesper</h1></div>
<p class="meta">{invitation}</p>{complaint}
<label>{name}<input class="native" name="username" value="{username}" required maxlength="64"
 autocomplete="username" autocapitalize="none" spellcheck="false"{focus_name}></label>
<label>{password}<input class="native" name="password" type="password" required maxlength="256"
 autocomplete="current-password"{focus_password}></label>
{code}<input type="hidden" name="next" value="{next}">
<button class="btn primary" type="submit">{sign_in}</button>{elsewhere}
</form></main></body></html>"""

_CODE = """<label>{label}<input class="native" name="code" required
 maxlength="64" autocomplete="one-time-code" inputmode="text" spellcheck="false"></label>
"""


_ELSEWHERE = """
<a class="btn" href="/login/oidc?next={next}">{words}</a>"""
_LONGEST_WHY = 300


def local_path(target: str) -> str:
    """Returns ``target`` if it leads to one of our own pages, else the first page."""
    plain = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if plain and target.isprintable() else "/"


def _page(
    assets: Assets,
    target: str,
    username: str = "",
    complaint: str = "",
    *,
    with_code: bool = False,
    elsewhere: str = "",
) -> str:
    notice = ""
    if complaint:
        notice = (
            '<div class="notice critical" role="alert"><span class="mark mark-critical"'
            f' aria-hidden="true"></span><span>{escape(complaint)}</span></div>'
        )
    provider = ""
    if elsewhere:
        words = escape(say("Sign in with {title}", title=elsewhere))
        provider = _ELSEWHERE.format(next=quote(target, safe=""), words=words)
    return _PAGE.format(
        elsewhere=provider,
        head=assets.head(tongue=current()),
        star=STAR,
        complaint=notice,
        code=_CODE.format(label=say("Code of your second factor")) if with_code else "",
        language=current().language,
        sign_in=say("Sign in"),
        invitation=say("Sign in to the operator console."),
        name=say("User name"),
        password=say("Password"),
        username=escape(username, quote=True),
        next=escape(target, quote=True),
        focus_name="" if username else " autofocus",
        focus_password=" autofocus" if username else "",
    )


async def _form(request: Request) -> dict[str, str]:
    """Reads a small url-encoded form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:  # none of ours has so many
        return {}
    return {name: values[0] for name, values in fields.items()}


def _signed_in(session: Session, target: str, cookie: tuple[str, bool]) -> Response:
    name, secure = cookie
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(
        name,
        session.token,
        expires=session.expires_at,
        httponly=True,
        samesite="strict",
        secure=secure,
        path="/",
    )
    return response


def _refused(
    assets: Assets, refusal: ServiceError, target: str, username: str, *, coded: bool
) -> Response:
    needed = isinstance(refusal, CodeNeeded) or (coded and isinstance(refusal, LoginRefused))
    page = _page(assets, target, username, sentence(refusal), with_code=needed)
    status = 401 if isinstance(refusal, LoginRefused) else 503
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


def router(services: Services, assets: Assets) -> APIRouter:
    """Returns the routes /login, /logout and /console/session."""
    routes, web = APIRouter(include_in_schema=False), services.sources.settings.web
    oidc = services.sources.settings.oidc
    elsewhere = "" if oidc is None else oidc.title

    async def show(request: Request) -> Response:
        target = local_path(request.query_params.get("next", "/"))
        with speaking(wanted_by(request)):
            why = sentence(unquote(request.cookies.get(WHY, ""))[:_LONGEST_WHY])
            page = _page(assets, target, complaint=why, elsewhere=elsewhere)
            return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    async def enter(request: Request) -> Response:
        form = await _form(request)
        username, target = form.get("username", "").strip(), local_path(form.get("next", "/"))
        source = request.client.host if request.client else "unknown"
        try:
            with answered():
                session = await services.accounts.login(
                    username,
                    form.get("password", ""),
                    source,
                    form.get("code", ""),
                    request.headers.get("user-agent", ""),
                )
        except ServiceError as refusal:
            with speaking(wanted_by(request)):
                return _refused(assets, refusal, target, username, coded="code" in form)
        return _signed_in(session, target, session_cookie(request, web.secure_cookies))

    async def leave(request: Request) -> Response:
        token = session_token(request, web.secure_cookies)
        if token:
            await services.accounts.logout(token)
        response = RedirectResponse("/login", status_code=303)
        name, secure = session_cookie(request, web.secure_cookies)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")
        return response

    async def session(request: Request) -> Response:
        try:
            actor = await services.accounts.actor_of(session_token(request, web.secure_cookies))
        except NotAuthenticated:
            return JSONResponse({"signed_in": False})
        return JSONResponse(
            {
                "signed_in": True,
                "username": actor.username,
                "role": actor.role,
                "run": assets.run,
            }
        )

    routes.add_api_route("/login", show, methods=["GET"])
    routes.add_api_route("/login", enter, methods=["POST"])
    routes.add_api_route("/logout", leave, methods=["POST"])
    routes.add_api_route("/console/session", session, methods=["GET"])
    return routes


def to_login(path: str) -> RedirectResponse:
    """Sends a visitor without a session to the sign-in page, and back afterwards."""
    return RedirectResponse(f"/login?next={quote(path, safe='')}", status_code=303)
