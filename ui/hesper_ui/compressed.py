"""Files that never change under their address are compressed once, not for every browser.

Compressing takes longer than anything else that serving them does, and would hold up everybody's
pages meanwhile. What is kept is what was answered to the first who asked; it ends with the process.
An answer whose reader left meanwhile may be cut short and yet be ended in due form, so only what is
as long as it said it would be is kept.
"""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILES_LEVEL = 9
PAGES_LEVEL = 4
MOST_OCTETS = 32 * 1024 * 1024
_SMALLEST = 500


class Compressed(GZipMiddleware):
    """ASGI middleware: compresses what browsers take compressed, and keeps what never changes."""

    def __init__(self, app: ASGIApp, unchanging: Iterable[str] = ("/",)) -> None:
        """Puts it before an application; below the paths ``unchanging`` nothing ever changes."""
        super().__init__(app, minimum_size=_SMALLEST, compresslevel=PAGES_LEVEL)
        self._unchanging = tuple(unchanging)
        self._kept: dict[str, list[Message]] = {}
        self._octets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._may_keep(scope):
            await super().__call__(scope, receive, send)
            return
        kept = self._kept.get(scope["path"])
        if kept is None:
            kept, measure = [], _Measure(self.app)
            files = GZipMiddleware(measure, minimum_size=_SMALLEST, compresslevel=FILES_LEVEL)
            await files(scope, receive, _noting(send, kept))
            if measure.is_whole:
                self._keep(scope["path"], kept)
            return
        for message in kept:
            await send(_copied(message))

    def _may_keep(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        return (
            scope["method"] == "GET"
            and scope["path"].startswith(self._unchanging)
            and not scope["query_string"]
            and "gzip" in headers.get("accept-encoding", "")
            and not {"range", "if-none-match", "if-modified-since"} & set(headers.keys())
        )

    def _keep(self, path: str, messages: list[Message]) -> None:
        size = sum(len(message.get("body", b"")) for message in messages)
        if messages and messages[0]["status"] == 200 and self._octets + size <= MOST_OCTETS:
            self._kept[path] = messages
            self._octets += size


class _Measure:
    """ASGI middleware for one answer: whether as much came of it as its head said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._said: str | None = None
        self._came = 0

    @property
    def is_whole(self) -> bool:
        """Says whether all of the answer came; not known where its head does not say how much."""
        return self._said == str(self._came)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def measuring(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._said = Headers(raw=message["headers"]).get("content-length")
            self._came += len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, measuring)


def _noting(send: Send, noted: list[Message]) -> Send:
    async def both(message: Message) -> None:
        noted.append(_copied(message))
        await send(message)

    return both


def _copied(message: Message) -> Message:
    """Returns a message whose headers are its own: whoever sends it on adds to them."""
    return {**message, "headers": list(message["headers"])} if "headers" in message else message
