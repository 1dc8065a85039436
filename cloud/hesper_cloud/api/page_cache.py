"""Pages that many ask for at once are made once in a while and served as octets in between.

Stands before the routes and remembers what they answered to the same question by the same
credentials, for a moment no longer than a console's frame. Who asks is checked at every request,
as ever; whatever changes something through this process empties the memory, so that nobody misses
their own change.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from hesper_cloud.api.who import actor_of
from hesper_cloud.services.errors import ServiceError

KEPT_S = 0.5
_MOST_PAGES = 2_000
_LARGEST = 1024 * 1024
_OK = 200
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_Question = tuple[str, bytes, bytes, bytes]


@dataclass(slots=True)
class _Page:
    """One answer as it goes out, whole or not at all."""

    made_at: float
    start: Message = field(default_factory=dict)
    body: Message = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        return (
            self.start.get("status") == _OK
            and not self.body.get("more_body", False)
            and 0 < len(self.body.get("body", b"")) <= _LARGEST
        )


class PageCache:
    """An application in front of another: answers repeated questions for some paths."""

    def __init__(
        self,
        app: FastAPI,
        paths: Iterable[str],
        kept_s: float = KEPT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._kept_s = kept_s
        self._monotonic = monotonic
        self._pages: dict[_Question, _Page] = {}
        self._changes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers from memory where it can, else asks the routes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "GET" and scope["path"] in self._paths:
            scope["app"] = self._app  # the routes' own way to their services
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)
            if scope["method"] not in _SAFE:
                self._pages.clear()
                self._changes += 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        question = _question(scope)
        page = self._pages.get(question)
        fresh = page is not None and self._monotonic() - page.made_at < self._kept_s
        if page is None or not fresh or not await _is_welcome(scope):
            changes = self._changes
            page = await self._made(scope, receive, send)
            if page.is_whole and changes == self._changes:
                self._keep(question, page)
            return
        await send(page.start)
        await send(page.body)

    async def _made(self, scope: Scope, receive: Receive, send: Send) -> _Page:
        page = _Page(self._monotonic())

        async def keep_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                page.start = message
            elif message["type"] == "http.response.body":
                page.body = {"more_body": True} if page.body else message
            await send(message)

        await self._app(scope, receive, keep_and_send)
        return page

    def _keep(self, question: _Question, page: _Page) -> None:
        if len(self._pages) >= _MOST_PAGES:
            self._pages.clear()
        self._pages[question] = page


async def _is_welcome(scope: Scope) -> bool:
    """Says whether the credentials still stand; if not, the routes say why."""
    try:
        await actor_of(HTTPConnection(scope))
    except ServiceError:
        return False
    return True


def _question(scope: Scope) -> _Question:
    authorization = cookie = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == b"cookie":
            cookie = value
    return scope["path"], scope["query_string"], authorization, cookie
