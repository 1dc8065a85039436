"""Routes that will go: ``Deprecation`` (RFC 9745) and ``Sunset`` (RFC 8594) tell their callers.

A route is announced as going where it is declared, and nowhere else:

    @router.get("/old", deprecated=True, openapi_extra=going(date(2026, 12, 1), "/new"))

The description says so too, and every answer of the route does. A route goes a year after it was
announced, at the earliest.
"""

from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTICE = timedelta(days=365)
MARK = "x-hesper-going"


def going(since: date, successor: str) -> dict[str, Any]:
    """Returns what marks a route as going.

    Args:
        since: The day on which it was announced; it stays for a year from then.
        successor: The path, with the API's prefix, of what takes its place.
    """
    return {MARK: {"since": since.isoformat(), "successor": successor}}


class Deprecations:
    """Puts the headers on every answer of a route that is going."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; which route took it is known when the answer begins."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = getattr(scope.get("route"), "openapi_extra", None) or {}
                if MARK in extra:
                    _mark(MutableHeaders(scope=message), **extra[MARK])
            await send(message)

        await self._app(scope, receive, marked if scope["type"] == "http" else send)


def _mark(headers: MutableHeaders, since: str, successor: str) -> None:
    announced = datetime.combine(date.fromisoformat(since), time(), UTC)
    headers["Deprecation"] = f"@{int(announced.timestamp())}"
    headers["Sunset"] = format_datetime(announced + NOTICE, usegmt=True)
    headers.append("Link", f'<{successor}>; rel="successor-version"')
