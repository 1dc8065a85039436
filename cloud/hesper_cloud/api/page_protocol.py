"""HTTP for the web server, with a short cut, and with an end to a client's slowness.

Theory of operation. uvicorn's own protocol spends most of what a page from memory costs on parsing
the request and on a task for it. This one looks first whether the octets that came are a request
that was answered before and whose page is still good (`PageCache.repeated`). It does so only where
a request can begin, that is when the message before was received in whole and answered, so that no
part of somebody's body is ever taken for a request; everything else is uvicorn's.

Nobody holds a connection by doing nothing, nor an export and the snapshot of the store that it
reads from. The head of a request has to be there `HEAD_S` after it began, or after the connection
did. Of a body something comes within `STILL_S`. An answer that lies there moves within `UNTAKEN_S`,
which is longer: who reads an export slowly, a row at a time into a database, is no attacker.
"""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hesper_cloud.api.page_cache import WORDS, PageCache

HEAD_S = 20.0
STILL_S = 60.0
UNTAKEN_S = 300.0
_LONGEST = 4096
_END = b"\r\n\r\n"
_OK = STATUS_LINE[200]


class PageProtocol(HttpToolsProtocol):
    """A connection whose repeated questions `memory` may answer."""

    memory: PageCache
    head_s = HEAD_S
    still_s = STILL_S
    untaken_s = UNTAKEN_S
    _words: bytes | None = None
    _between = True
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the first octets no longer than for a head."""
        super().connection_made(transport)
        self._head = _Timer(self.loop, transport.abort)
        self._still = _Timer(self.loop, self._is_still)
        waiting = self.loop.call_later(self.head_s, self.timeout_keep_alive_handler)
        self.timeout_keep_alive_task = waiting

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing any more."""
        self._head.end()
        self._still.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answers at once, or lets the request be parsed."""
        if self._may_begin() and data[:4] == b"GET " and len(data) <= _LONGEST:
            answer = self.memory.repeated(data)
            if answer is not None:
                headers = [b"%s: %s\r\n" % each for each in self.server_state.default_headers]
                self.transport.write(b"".join([_OK, *headers, answer]))
                self.on_response_complete()
                return
            self._words = data if data.find(_END) == len(data) - len(_END) else None
        else:
            self._words = None
        super().data_received(data)
        if not self._in_head:
            self._head.end()
        elif not self._head.is_set:
            self._head.begin(self.head_s)
        self._watch()

    def _may_begin(self) -> bool:
        """Says whether a request ended, was answered, and the answer's octets are gone."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._between and answered and not self.flow.write_paused

    def _awaits_body(self) -> bool:
        is_ours = self in self.connections  # and no WebSocket's by now
        return is_ours and not self._between and not self._in_head

    def on_message_begin(self) -> None:
        """Hands the octets on, where they are one whole request."""
        self._between, self._in_head = False, True
        super().on_message_begin()
        if self._words is not None:
            self.scope["extensions"] = {WORDS: {"octets": self._words}}

    def on_headers_complete(self) -> None:
        """Notes that a body is next, if anything."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Notes that the next octets begin a request."""
        self._between = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Waits for the client to take what lies there."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Goes on; what is left of a body is awaited still."""
        super().resume_writing()
        self._watch()

    def _watch(self) -> None:
        """Begins to wait for the client's next move, anew, if one is due."""
        self._still.end()
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._still.begin(self.untaken_s)
        elif self._awaits_body():
            self._still.begin(self.still_s)

    def _is_still(self) -> None:
        """Gives the client up, unless it is we who do not read."""
        if self.flow.read_paused and not self.flow.write_paused:
            self._watch()
        else:
            self.transport.abort()


class _Timer:
    """Does something once so many seconds have passed, if nobody ended it before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
        self._loop = loop
        self._act = act
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def begin(self, seconds: float) -> None:
        self._handle = self._loop.call_later(seconds, self._act)

    def end(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def answering_from(memory: PageCache) -> type[PageProtocol]:
    """Returns the protocol for a server whose pages are in a memory."""
    return type("PageProtocol", (PageProtocol,), {"memory": memory})
