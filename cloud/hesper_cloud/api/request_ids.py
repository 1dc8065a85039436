"""Every request has an id: the caller's own where it is fit for a log, else one of ours.

It goes back in ``X-Request-ID`` and stands in every problem document and in what is logged.
"""

import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_FIT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STATE = "hesper_request_id"
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Returns the id of the request that is being answered, or nothing."""
    return _current.get()


def of(scope: Scope) -> str:
    """Returns the id of a request, also after its answer went wrong."""
    name: str = scope.get("state", {}).get(_STATE, "")
    return name


class RequestIds:
    """Names requests in front of an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on under its name."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get(HEADER, "")
        name = said if _FIT.fullmatch(said) else uuid.uuid4().hex
        scope.setdefault("state", {})[_STATE] = name
        token = _current.set(name)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        try:
            await self._app(scope, receive, named)
        finally:
            _current.reset(token)
