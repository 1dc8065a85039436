"""What stands before every request: response headers, and the Origin of whatever carries a cookie.

NiceGUI's socket checks neither cookie nor Origin. Here a socket or a changing request from a foreign
page is refused before it reaches anything, whichever part of the application it was meant for.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# NiceGUI builds its pages with inline scripts and compiles templates, so both must be allowed;
# what protects against injected text is that all text becomes text nodes.
_POLICY = "; ".join(
    (
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
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def foreign(headers: Headers) -> bool:
    """Says whether a browser sent this from a page that is not ours."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


class Guard:
    """ASGI middleware: refuses foreign origins and adds security headers; leaves ``open_paths`` be."""

    def __init__(self, app: ASGIApp, open_paths: Iterable[str] = ("/docs", "/redoc")) -> None:
        self._app = app
        self._open = tuple(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        changing = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if changing and foreign(headers):
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, receive, self._dressed(scope, send))

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "foreign origin"})
            return
        await PlainTextResponse("Foreign origin.\n", 403)(scope, receive, send)

    def _dressed(self, scope: Scope, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith(
                self._open
            ):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return dressed
