"""Counts and times requests by route, and names the trace that log lines of theirs belong to."""

import secrets
import time
from http import HTTPStatus

from hesper_contracts import trace
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hesper_cloud import metrics
from hesper_cloud.observing.context import begin_trace

_CONSOLE = "console"
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Measured:
    """Stands in front of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on within its trace: the caller's own, else a new one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = trace.parse(Headers(scope=scope).get(trace.PROPERTY, ""))
        begun = time.monotonic()

        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _count(scope, status, time.monotonic() - begun)
            await send(message)

        try:
            begin_trace(secrets.token_hex(16) if said is None else said.trace_id)
            await self._app(scope, receive, noted)
        finally:
            if not status:  # an error on its way to the server, which answers 500
                _count(scope, HTTPStatus.INTERNAL_SERVER_ERROR, time.monotonic() - begun)


def _count(scope: Scope, status: int, seconds: float) -> None:
    """Counts one answer by its route as it is declared, never by the address that was asked."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    method = scope["method"] if scope["method"] in _METHODS else metrics.OTHER
    operation = f"{method} {path}" if isinstance(path, str) and path else _CONSOLE
    metrics.REQUESTS.labels(operation, str(int(status))).inc()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        metrics.ERRORS.labels(operation, str(int(status))).inc()
    metrics.REQUEST_SECONDS.labels(operation).observe(seconds)
