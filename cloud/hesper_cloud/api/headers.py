"""Headers that tell a browser what not to do with an answer."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hesper_cloud.web_settings import WebSettings

_OF_ALL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
_OF_API = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Cookie",
}
_API = "/api/"
_DAY_S = 86_400
_YEAR_DAYS = 365


class SafeHeaders:
    """ASGI middleware: an answer carries these unless it has its own."""

    def __init__(self, app: ASGIApp, web: WebSettings) -> None:
        self._app = app
        days = web.tls.hsts_days if web.tls else _YEAR_DAYS if web.secure_cookies else 0
        self._hsts = f"max-age={days * _DAY_S}" if days else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and dresses its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = _OF_ALL | _OF_API if scope["path"].startswith(_API) else dict(_OF_ALL)
        if self._hsts and scope.get("scheme") == "https":
            wanted["Strict-Transport-Security"] = self._hsts

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    if name == "Vary":
                        headers.add_vary_header(value)
                    else:
                        headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, dressed)
