"""How often one client may ask: a token bucket each, and 429 with the time to wait.

And how many WebSockets one account may have open at a time.

A client is the token by which it speaks, if that is good, else its network address: who sends
another wrong token each time is still one client.
"""

import contextlib
import math
import time
from collections import Counter as Counted
from collections.abc import Callable, Iterator

from fastapi.requests import HTTPConnection
from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from hesper_cloud.accounts.callers import caller
from hesper_cloud.api.problems import problem
from hesper_cloud.api.who import token_of
from hesper_cloud.pace import Pace
from hesper_cloud.services.bundle import Services
from hesper_cloud.web_settings import LimitSettings

_TRY_AGAIN_LATER = 1013
LIMITED = Counter("hesper_http_limited_total", "Requests that came too often from one client.")


class Limits:
    """The pace of clients; ``per_second`` 0 is none."""

    def __init__(
        self, settings: LimitSettings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_bounded = settings.per_second > 0
        self._pace = Pace(settings.per_second, settings.burst, monotonic)

    def take(self, client: str) -> float:
        """Takes one token; returns 0, or how many seconds there is none."""
        return self._pace.take(client) if self._is_bounded else 0.0


class TooManySockets(Exception):
    """An account has as many WebSockets open as one may have; the text says how many."""


class Sockets:
    """Counts the WebSockets that each account has open."""

    def __init__(self, most: int) -> None:
        """Allows so many for each account; 0: any number."""
        self._most = most
        self._open: Counted[str] = Counted()

    @contextlib.contextmanager
    def one_more(self, username: str) -> Iterator[None]:
        """Counts one more for as long as it is open.

        Raises:
            TooManySockets: the account has to close another one first.
        """
        if self._most and self._open[username] >= self._most:
            LIMITED.inc()
            raise TooManySockets(
                f"this account has {self._most} live connections open; close one first"
            )
        self._open[username] += 1
        try:
            yield
        finally:
            self._open[username] -= 1
            self._open += Counted()  # without those that have none


class Limited:
    """An application in front of another: those who ask too often are told when to come back."""

    def __init__(self, app: ASGIApp, services: Services, limits: Limits) -> None:
        self._app = app
        self._services = services
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request pass, or answers 429; a socket is turned down before it opens."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        wait_s = self._limits.take(self.client_of(HTTPConnection(scope)))
        if wait_s <= 0:
            await self._app(scope, receive, send)
            return
        LIMITED.inc()
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
            return
        headers = {"Retry-After": str(math.ceil(wait_s))}
        answer = problem(429, "too many requests; wait before the next", headers)
        await answer(scope, receive, send)

    def client_of(self, connection: HTTPConnection) -> str:
        """Returns by what name a client's requests are counted."""
        token = token_of(connection, self._services)
        if token and self._services.accounts.lately_known(token) is not None:
            return token
        return caller(connection.client.host) if connection.client else ""
