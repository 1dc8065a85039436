"""What stands before every request: response headers, and the Origin of whatever carries a cookie.

NiceGUI's socket checks neither cookie nor Origin. Here a socket or a changing request from a
foreign page is refused before it reaches anything, whatever it was meant for, and the pages' socket
is opened only for a session that is good now, and closed the moment it is over. The API looks after
its own: there a page of another origin may come with a token, which no browser sends by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hesper_ui.desk import session_token

# NiceGUI builds its pages with inline scripts and compiles templates, so both must be allowed;
# what protects against injected text is that all text becomes text nodes.
_RULES = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "object-src 'none'",
)
HEADERS = {
    "Content-Security-Policy": "; ".join(_RULES),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
_OWN_SITES = ("same-origin", "none")
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
PAGE_SOCKET = "/_nicegui_ws/"
API = "/api/"


@dataclass(frozen=True, slots=True)
class Doors:
    """Who may come in, until when, and what the configuration says of origins and cookies."""

    admits: Callable[[str], Awaitable[bool]]
    until_ended: Callable[[str], Awaitable[str]]
    allowed_origins: Iterable[str] = ()
    secure_cookies: bool = False


def foreign(headers: Headers, allowed: Iterable[str] = ()) -> bool:
    """Says whether a browser sent this from a page that is not ours.

    A form's browser that names no origin still says whether it was on this site (Fetch Metadata).
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") not in _OWN_SITES
    if origin in allowed:
        return False
    return urlsplit(origin).netloc != headers.get("host", "")


class Guard:
    """ASGI middleware: refuses foreign origins and adds security headers."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app = app
        self._doors = doors
        self._allowed = frozenset(doors.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if await self._refuses(scope):
            await _refuse(scope, receive, send)
            return
        if scope["type"] == "websocket" and scope["path"].startswith(PAGE_SOCKET):
            await self._while_admitted(scope, receive, send)
            return
        await self._app(scope, receive, _dressed(send))

    async def _while_admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a page's socket live as long as its session."""
        over = asyncio.ensure_future(self._doors.until_ended(self._token(scope)))

        async def next_or_end() -> Message:
            coming = asyncio.ensure_future(receive())
            try:
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    return coming.result()
                await send({"type": "websocket.close", "code": 1008, "reason": "session over"})
                return {"type": "websocket.disconnect", "code": 1008}
            finally:
                coming.cancel()

        try:
            await self._app(scope, next_or_end, send)
        finally:
            over.cancel()

    def _token(self, scope: Scope) -> str:
        return session_token(HTTPConnection(scope), self._doors.secure_cookies)

    async def _refuses(self, scope: Scope) -> bool:
        changing = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if (
            changing
            and not _speaks_by_token(scope)
            and foreign(Headers(scope=scope), self._allowed)
        ):
            return True
        if not scope["path"].startswith(PAGE_SOCKET):
            return False
        return not await self._doors.admits(self._token(scope))


def _speaks_by_token(scope: Scope) -> bool:
    """Says whether a request of the API carries a token, which no browser sends by itself."""
    is_api = scope["type"] == "http" and scope["path"].startswith(API)
    return is_api and "authorization" in Headers(scope=scope)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "not admitted"})
        return
    await PlainTextResponse("Not admitted.\n", 403)(scope, receive, send)


def _dressed(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return dressed
