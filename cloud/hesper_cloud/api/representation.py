"""How an answer travels: tagged, not sent again to who has it already, and compressed.

A GET that is answered as a whole gets an ``ETag`` made of its octets (after the resource's version,
where a route says one); a request that names it in ``If-None-Match`` gets 304 without a body (RFC
9110, 8.8.3 and 13.1.2). Text of some length is compressed for those who take gzip; the tag of the
compressed form is one of its own. What a route marks ``Cache-Control: no-store`` holds a secret: it
is neither tagged nor compressed, because lengths of compressed secrets tell of them (BREACH).
"""

import gzip
import hashlib
import re
import zlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALLEST = 1024
_LEVEL = 4
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_OK = 200
_NOT_MODIFIED = 304
_COMPRESSIBLE = ("application/json", "application/problem+json", "application/x-ndjson", "text/")
_REFUSED_Q = re.compile(r"q=0(\.0{1,3})?$")
_OF_A_BODY = ("content-length", "content-type", "content-encoding")


class Representation:
    """Tags and compresses the answers under a prefix."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; its answer goes out as the caller takes it."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefix):
            send = _Outgoing(scope, send)
        await self._app(scope, receive, send)


class _Outgoing:
    """One answer on its way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._asked = Headers(scope=scope)
        self._method = scope["method"]
        self._send = send
        self._start: Message | None = None
        self._gzip: zlib._Compress | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            start, self._start = self._start, None
            if message.get("more_body", False):
                await self._begin_stream(start)
                await self._stream(message)
            else:
                await self._whole(start, message)
        elif message["type"] == "http.response.body":
            await self._stream(message)
        else:
            await self._send(message)

    async def _whole(self, start: Message, message: Message) -> None:
        headers, body = MutableHeaders(scope=start), message.get("body", b"")
        secret = "no-store" in headers.get("cache-control", "")
        if self._method == "GET" and start["status"] == _OK and not secret:
            _tag(headers, body)
        if len(body) >= SMALLEST and not secret and self._may_compress(headers):
            body = gzip.compress(body, _LEVEL, mtime=0)
            _mark_compressed(headers)
            headers["Content-Length"] = str(len(body))
        if start["status"] == _OK and is_known(self._asked.get("if-none-match"), headers):
            start, body = not_modified(start), b""
        await self._send(start)
        await self._send({**message, "body": body})

    async def _begin_stream(self, start: Message) -> None:
        headers = MutableHeaders(scope=start)
        if "no-store" not in headers.get("cache-control", "") and self._may_compress(headers):
            self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            _mark_compressed(headers)
            del headers["Content-Length"]
        await self._send(start)

    async def _stream(self, message: Message) -> None:
        if self._gzip is not None:
            body = self._gzip.compress(message.get("body", b""))
            if not message.get("more_body", False):
                body += self._gzip.flush()
            message = {**message, "body": body}
        await self._send(message)

    def _may_compress(self, headers: MutableHeaders) -> bool:
        fit = headers.get("content-type", "").startswith(_COMPRESSIBLE)
        if fit and "content-encoding" not in headers:
            headers.add_vary_header("Accept-Encoding")
            return accepts_gzip(self._asked.get("accept-encoding", ""))
        return False


def accepts_gzip(accept_encoding: str) -> bool:
    """Says whether a caller takes gzip (RFC 9110, 12.5.3)."""
    for each in accept_encoding.lower().split(","):
        name, *weight = (part.strip() for part in each.split(";"))
        if name == "gzip":
            return not any(_REFUSED_Q.fullmatch(part) for part in weight)
    return False


def is_known(if_none_match: str | None, headers: Headers) -> bool:
    """Says whether ``If-None-Match`` names the tag of an answer."""
    tag = headers.get("etag")
    if not if_none_match or tag is None:
        return False
    names = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return if_none_match.strip() == "*" or tag in names


def not_modified(start: Message) -> Message:
    """Returns the start of the answer 304 in the place of one with a body."""
    kept = [each for each in start["headers"] if each[0].lower().decode() not in _OF_A_BODY]
    return {**start, "status": _NOT_MODIFIED, "headers": kept}


def _tag(headers: MutableHeaders, body: bytes) -> None:
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    version = headers.get("etag", "").strip('"')
    headers["ETag"] = f'"{version}-{digest}"' if version else f'"{digest}"'
    headers.setdefault("Cache-Control", "private, no-cache")


def _mark_compressed(headers: MutableHeaders) -> None:
    headers["Content-Encoding"] = "gzip"
    if "etag" in headers:
        headers["ETag"] = headers["etag"][:-1] + '-gzip"'
