"""Pages that many ask for at once are made once in a while and served as octets in between.

Stands before the routes and remembers what they answered to the same question by the same
credentials, for a moment no longer than a console's frame. Who asks is checked at every request,
as ever; whatever changes something through this process empties the memory, so that nobody misses
their own change.

A request that came before octet for octet is answered without being parsed again (`repeated`, which
`page_protocol` asks): a program that asks for a page says the same words each time. Who has a page
already (``If-None-Match``) is told so from memory too. A page that goes out again has no request
id: that one belongs to who asked first.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from hesper_cloud.api import representation, request_ids
from hesper_cloud.api.limits import Limits
from hesper_cloud.api.who import actor_of, token_of
from hesper_cloud.services.bundle import Services
from hesper_cloud.services.errors import ServiceError

KEPT_S = 0.5
_MOST_PAGES = 2_000
_LARGEST = 1024 * 1024
_MOST_OCTETS = 32 * 1024 * 1024  # of bodies; a page that went out for octets lies there twice
_OK = 200
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SHAPING = (b"authorization", b"cookie", b"accept-encoding", b"origin")
_CONDITION = b"if-none-match"
_REQUEST_ID = request_ids.HEADER.lower().encode()
_Question = tuple[str, bytes, tuple[bytes, ...]]
WORDS = "hesper.words"
"""Extension of the scope: the octets of the request, where they came in one piece."""
_MEANINGFUL = frozenset({b"connection", b"expect", b"upgrade", b"content-length", b"te",
                            b"transfer-encoding", _CONDITION, _REQUEST_ID})  # fmt: skip


class _Known(NamedTuple):
    """What a request's octets ask, and by which token."""

    question: _Question
    token: str


@dataclass
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

    @property
    def length(self) -> int:
        return len(self.body["body"])

    @cached_property
    def octets(self) -> bytes:
        """The answer as it goes over a connection that stays open, but for the server's headers."""
        lines = [b"%s: %s\r\n" % header for header in self.start["headers"]]
        return b"".join([*lines, b"\r\n", self.body["body"]])


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
        self._octet_count = 0
        self._known: dict[bytes, _Known] = {}
        self._changes = 0
        self.limits: Limits | None = None
        """Of those who ask octet for octet again; of the others something in front takes care."""

    def repeated(self, words: bytes) -> bytes | None:
        """Returns the answer to a request that came before with the same octets, all of it.

        Without status line and server's headers. None where a page is not there or not fresh, or
        whoever asks has to be looked up again: then the usual way knows.
        """
        known = self._known.get(words)
        page = None if known is None else self._fresh(known.question)
        if known is None or page is None:
            return None
        services: Services = self._app.state.services
        if services.accounts.lately_known(known.token) is None:
            return None
        is_limited = self.limits is not None and self.limits.take(known.token) > 0
        return None if is_limited else page.octets

    def _fresh(self, question: _Question) -> _Page | None:
        page = self._pages.get(question)
        if page is None or self._monotonic() - page.made_at >= self._kept_s:
            return None
        return page

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
                self._empty()
                self._changes += 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        question = _question(scope)
        page = self._fresh(question)
        if page is None or not await _is_welcome(scope):
            changes = self._changes
            page = await self._made(scope, receive, send)
            if page.is_whole and changes == self._changes:
                self._keep(question, page)
                self._learn(scope, question)
            return
        await _deliver(page, scope, send)

    async def _made(self, scope: Scope, receive: Receive, send: Send) -> _Page:
        """Has a page made, whoever has it already or not, and sends it as far as it is missing."""
        page = _Page(self._monotonic())
        begun = False

        async def keep_and_send(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                page.start = message
                return
            if message["type"] == "http.response.body":
                page.body = {"more_body": True} if page.body else message
            if page.is_whole and not begun:
                await _deliver(page, scope, send)
            elif begun:
                await send(message)
            else:
                await send(page.start)
                await send(message)
            begun = True

        asked = [each for each in scope["headers"] if each[0] != _CONDITION]
        await self._app({**scope, "headers": asked}, receive, keep_and_send)
        page.start = {**page.start, "headers": _without_id(page.start.get("headers", ()))}
        return page

    def _keep(self, question: _Question, page: _Page) -> None:
        before = self._pages.pop(question, None)
        self._octet_count += page.length - (0 if before is None else before.length)
        if len(self._pages) >= _MOST_PAGES or self._octet_count > _MOST_OCTETS:
            self._empty()
            self._octet_count = page.length
        self._pages[question] = page

    def _empty(self) -> None:
        self._pages.clear()
        self._octet_count = 0

    def _learn(self, scope: Scope, question: _Question) -> None:
        """Remembers a request's octets, unless they say more than what is asked and by whom."""
        words = scope.get("extensions", {}).get(WORDS)
        if not words or scope["http_version"] != "1.1":
            return
        if not _MEANINGFUL.isdisjoint(name for name, _ in scope["headers"]):
            return
        if len(self._known) >= _MOST_PAGES:
            self._known.clear()
        self._known[words["octets"]] = _Known(question, token_of(HTTPConnection(scope)))


async def _is_welcome(scope: Scope) -> bool:
    """Says whether the credentials still stand; if not, the routes say why."""
    try:
        await actor_of(HTTPConnection(scope))
    except ServiceError:
        return False
    return True


async def _deliver(page: _Page, scope: Scope, send: Send) -> None:
    """Sends a whole page, or says that the caller has it."""
    start = page.start
    if representation.is_known(Headers(scope=scope).get("if-none-match"), Headers(scope=start)):
        await send(representation.not_modified(start))
        await send({"type": "http.response.body", "body": b""})
        return
    await send(start)
    await send(page.body)


def _without_id(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [each for each in headers if each[0].lower() != _REQUEST_ID]


def _question(scope: Scope) -> _Question:
    """Returns what is asked, with all that shapes the answer, however often a header comes."""
    said: dict[bytes, list[bytes]] = {name: [] for name in _SHAPING}
    for name, value in scope["headers"]:
        if name in said:
            said[name].append(value)
    return scope["path"], scope["query_string"], tuple(map(b"\n".join, said.values()))
