"""Who is asking: a bearer token, or the session cookie together with an origin that is ours."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.requests import HTTPConnection

from hesper_cloud.accounts import cookies
from hesper_cloud.accounts.roles import Actor
from hesper_cloud.services.bundle import Services
from hesper_cloud.services.errors import NotAuthenticated, NotPermitted
from hesper_cloud.worded import worded

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def services_of(connection: HTTPConnection) -> Services:
    """Returns the services of this application."""
    services: Services = connection.app.state.services
    return services


async def actor_of(connection: HTTPConnection) -> Actor:
    """Returns the actor of a request or WebSocket.

    A browser sends its cookie by itself, whoever made it ask; so with a cookie, whatever changes
    something (and every WebSocket) must come from an origin that is ours.

    Raises:
        NotAuthenticated: no token, or one that is not good any more.
        NotPermitted: the cookie came along on another site's request.
    """
    token = token_of(connection)
    if not bearer(connection) and connection.scope.get("method", "WEBSOCKET") not in _SAFE:
        check_origin(connection)
    if not token:
        raise NotAuthenticated("log in, or send a bearer token")
    return await services_of(connection).accounts.actor_of(token, source_of(connection))


async def while_session_lasts(connection: HTTPConnection, work: Coroutine[Any, Any, None]) -> None:
    """Does the work of an open socket until it is done or the session is over.

    Raises:
        NotAuthenticated: the session ended, or the account was changed.
    """
    accounts = services_of(connection).accounts
    task = asyncio.ensure_future(work)
    over = asyncio.ensure_future(accounts.until_ended(token_of(connection)))
    try:
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise NotAuthenticated(over.result())
        task.result()
    finally:
        for each in (task, over):
            each.cancel()
        await asyncio.gather(task, over, return_exceptions=True)


def source_of(connection: HTTPConnection) -> str:
    """Returns the network address of whoever asks."""
    return connection.client.host if connection.client else "unknown"


def is_secure(connection: HTTPConnection, services: Services | None = None) -> bool:
    """Says whether a connection is encrypted where the browser is, here or by a proxy."""
    settings = (services or services_of(connection)).sources.settings.web
    return cookies.is_secure(connection.url.scheme, settings.secure_cookies)


def token_of(connection: HTTPConnection, services: Services | None = None) -> str:
    """Returns the token by which a connection speaks, either kind, or nothing."""
    token = bearer(connection)
    if token:
        return token
    return connection.cookies.get(cookies.cookie_name(is_secure(connection, services)), "")


def bearer(connection: HTTPConnection) -> str:
    """Returns the bearer token of a connection, or nothing."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def check_origin(connection: HTTPConnection) -> None:
    """Checks that a browser's request comes from a page of ours.

    Raises:
        NotPermitted: from another origin; configure ``web.allowed_origins`` behind a proxy.
    """
    origin = connection.headers.get("origin")
    if origin is None:
        if connection.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none"):
            return
        raise NotPermitted("this request came from another site")
    allowed: Iterable[str] = services_of(connection).sources.settings.web.allowed_origins
    if urlsplit(origin).netloc != connection.headers.get("host") and origin not in allowed:
        raise NotPermitted(worded("requests from {origin} are not allowed", origin=origin))


Who = Annotated[Actor, Depends(actor_of)]
Have = Annotated[Services, Depends(services_of)]
