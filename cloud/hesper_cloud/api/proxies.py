"""Requests that a proxy passed on: whose they are, and how the browser spoke to the proxy.

What a proxy says is believed from its address alone; whoever else comes by plain HTTP is turned
down, but for loopback and for those who watch the service's health.
"""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hesper_cloud.api.problems import problem

_OPEN = frozenset({"/health", "/metrics"})


class FromProxies:
    """ASGI middleware: admits proxies, and has their words on the browser count."""

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._trusted = [ip_network(each) for each in trusted]
        self._app = ProxyHeadersMiddleware(app, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what came through a proxy."""
        if scope["type"] not in ("http", "websocket") or self._admits(scope):
            await self._app(scope, receive, send)  # type: ignore[arg-type]
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "come by the proxy"})
        else:
            await problem(403, "come by the proxy, over HTTPS")(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        client = scope.get("client")
        if scope["path"] in _OPEN or not client:
            return True
        address = ip_address(client[0])
        return address.is_loopback or any(address in network for network in self._trusted)
