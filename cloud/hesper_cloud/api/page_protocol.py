"""HTTP for the web server, with a short cut: a page in memory goes out for a request's octets.

Theory of operation. uvicorn's own protocol spends most of what a page from memory costs on parsing
the request and on a task for it. This one looks first whether the octets that came are a request
that was answered before and whose page is still good (`PageCache.repeated`). It does so only where
a request can begin, that is when the message before was received in whole and answered, so that no
part of somebody's body is ever taken for a request; everything else is uvicorn's.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from hesper_cloud.api.page_cache import WORDS, PageCache

_LONGEST = 4096
_END = b"\r\n\r\n"
_OK = STATUS_LINE[200]


class PageProtocol(HttpToolsProtocol):
    """A connection whose repeated questions `memory` may answer."""

    memory: PageCache
    _words: bytes | None = None
    _between = True

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

    def _may_begin(self) -> bool:
        """Says whether a request ended, was answered, and the answer's octets are gone."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._between and answered and not self.flow.write_paused

    def on_message_begin(self) -> None:
        """Hands the octets on, where they are one whole request."""
        self._between = False
        super().on_message_begin()
        if self._words is not None:
            self.scope["extensions"] = {WORDS: {"octets": self._words}}

    def on_message_complete(self) -> None:
        """Notes that the next octets begin a request."""
        self._between = True
        super().on_message_complete()


def answering_from(memory: PageCache) -> type[PageProtocol]:
    """Returns the protocol for a server whose pages are in a memory."""
    return type("PageProtocol", (PageProtocol,), {"memory": memory})
