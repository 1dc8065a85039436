"""``Idempotency-Key`` in front of every POST: the same request twice is carried out once.

Who sends a key gets, for a day, the first answer again (`Idempotency-Replayed` says so), and waits
for it where the first request still goes on: ten rapid clicks are one click. Only
answers that made something are kept; after a refusal the same key may be tried again (what the
authority has refused it remembers, and refuses again), and after a request that was cut off its
repeat is told so and not carried out. An answer that holds a secret (``Cache-Control: no-store``)
or is very long is not kept: its repeat is told that the request was carried out, and nothing else.
"""

import asyncio

from fastapi.requests import HTTPConnection
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.api.problems import AWAY, no_database, problem
from hesper_cloud.api.who import actor_of, services_of
from hesper_cloud.services.errors import Invalid, ServiceError
from hesper_cloud.services.idempotency import CutOff, Idempotency, Kept, KeyInUse, OtherRequest

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEPT_HEADERS = ("content-type", "location", "link", "etag")
_MOST_KEPT = 1024 * 1024
_MOST_ASKED = 64 * 1024 * 1024
_MADE = range(200, 300)
_WAIT_S = 6.0  # longer than a service waits for the authority
_POLL_S = 0.04


class IdempotentPosts:
    """Answers repeated POSTs under a prefix; `apart` are paths that have no account yet."""

    def __init__(self, app: ASGIApp, prefix: str, apart: tuple[str, ...] = ()) -> None:
        self._app = app
        self._prefix = prefix
        self._apart = apart

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on unless it was answered before."""
        key = _key(scope) if self._concerns(scope) else None
        if key is None:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            actor = await actor_of(connection)
        except ServiceError:
            await self._app(scope, receive, send)  # the routes say why
            return
        except AWAY as error:
            await (await no_database(connection, error))(scope, receive, send)
            return
        try:
            body = await _whole(receive)
        except ClientDisconnect:
            return  # half of a request is none
        if body is None:
            await problem(413, f"a request has at most {_MOST_ASKED} octets")(scope, receive, send)
            return
        once = _Once(services_of(connection).idempotency, actor, key)
        try:
            replayed = await once.before(scope, body)
        except AWAY as error:
            replayed = await no_database(connection, error)
        if replayed is not None:
            await replayed(scope, receive, send)
            return
        await once.carry_out(self._app, scope, _again(body, receive), send)

    def _concerns(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"].startswith(self._prefix)
            and scope["path"].removeprefix(self._prefix) not in self._apart
        )


class _Once:
    """One request under a key."""

    def __init__(self, answers: Idempotency, actor: Actor, key: str) -> None:
        self._answers = answers
        self._actor = actor
        self._key = key
        self._kept: Kept | None = None
        self._body = b""

    async def before(self, scope: Scope, body: bytes) -> Response | None:
        """Claims the key; returns the answer where the request must not be carried out."""
        address = scope["path"].encode(), scope["query_string"]
        digest = self._answers.digest(*address, body)
        try:
            kept = await self._claim(digest)
        except Invalid as refusal:
            return problem(400, str(refusal))
        except OtherRequest:
            return problem(422, "this Idempotency-Key was used for another request")
        except KeyInUse:
            told = "the first request under this Idempotency-Key is still being carried out"
            return problem(409, told, {"Retry-After": "1"})
        except CutOff:
            told = "the first request under this Idempotency-Key was cut off; look whether it did"
            return problem(409, f"{told} what you asked, and use another key if it did not")
        if kept is None:
            return None
        if kept.body is None:
            told = "this request was carried out; its answer was given once and is not kept"
            return problem(409, told, {REPLAYED: "true"})
        return Response(kept.body, kept.status, {**kept.headers, REPLAYED: "true"})

    async def _claim(self, digest: str) -> Kept | None:
        """Claims the key; waits a while for the first request under it, if that still goes on.

        Raises:
            Invalid, OtherRequest, KeyInUse, CutOff: as `Idempotency.claim` says.
        """
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while True:
            try:
                return await asyncio.to_thread(self._answers.claim, self._actor, self._key, digest)
            except KeyInUse:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
            await asyncio.sleep(_POLL_S)

    async def carry_out(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; keeps its answer before it goes out, or gives the key back.

        The key comes back only after a refusal was told: what was broken off may have been done.
        """
        made = refused = False

        async def keep_and_send(message: Message) -> None:
            nonlocal made, refused
            if message["type"] == "http.response.start":
                self._begin(message)
                refused = self._kept is None
            elif self._kept is not None:
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    await self._keep()
                    made = True
            await send(message)

        try:
            await app(scope, receive, keep_and_send)
        finally:
            if not made:
                end = self._answers.release if refused else self._answers.leave
                await asyncio.to_thread(end, self._actor, self._key)

    def _begin(self, message: Message) -> None:
        headers = Headers(scope=message)
        if message["status"] in _MADE:
            said = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
            secret = "no-store" in headers.get("cache-control", "")
            self._kept = Kept(message["status"], said, None if secret else b"")

    async def _keep(self) -> None:
        kept = self._kept
        if kept is not None:
            open_ = kept.body is not None and len(self._body) <= _MOST_KEPT
            answer = Kept(kept.status, kept.headers, self._body if open_ else None)
            await asyncio.to_thread(self._answers.keep, self._actor, self._key, answer)


def _key(scope: Scope) -> str | None:
    return Headers(scope=scope).get(HEADER)


async def _whole(receive: Receive) -> bytes | None:
    """Returns a request's body, or None where it is too long.

    Raises:
        ClientDisconnect: whoever sent it went before its end.
    """
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > _MOST_ASKED:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Returns a way to receive a body that was received already."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
