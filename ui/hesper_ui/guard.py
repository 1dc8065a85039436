"""What stands before every request: response headers, and the Origin of whatever carries a cookie.

NiceGUI's socket checks neither cookie nor Origin. Here a socket or a changing request from a
foreign page is refused before it reaches anything, whatever it was meant for, and the pages' socket
is opened only for a session that is good now.
"""

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hesper_ui.desk import COOKIE

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
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
PAGE_SOCKET = "/_nicegui_ws/"
Admits = Callable[[str], Awaitable[bool]]


def foreign(headers: Headers, allowed: Iterable[str] = ()) -> bool:
    """Says whether a browser sent this from a page that is not ours."""
    origin = headers.get("origin")
    if origin is None or origin in allowed:
        return False
    return urlsplit(origin).netloc != headers.get("host", "")


class Guard:
    """ASGI middleware: refuses foreign origins and adds security headers."""

    def __init__(self, app: ASGIApp, admits: Admits, allowed_origins: Iterable[str] = ()) -> None:
        self._app = app
        self._admits = admits
        self._allowed = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if await self._refuses(scope):
            await _refuse(scope, receive, send)
            return
        await self._app(scope, receive, _dressed(send))

    async def _refuses(self, scope: Scope) -> bool:
        changing = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if changing and foreign(Headers(scope=scope), self._allowed):
            return True
        if not scope["path"].startswith(PAGE_SOCKET):
            return False
        return not await self._admits(HTTPConnection(scope).cookies.get(COOKIE, ""))


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
