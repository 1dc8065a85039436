"""A page for a request's octets: the same answer as the usual way, and never for anything else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from hesper_cloud.api import problems
from hesper_cloud.api.page_cache import PageCache
from hesper_cloud.api.page_protocol import PageProtocol, answering_from
from hesper_cloud.services.errors import NotAuthenticated

PAGE = b"GET /page HTTP/1.1\r\nhost: hes\r\nauthorization: Bearer one\r\n\r\n"
DEADLINE_S = 60.0


class Noted(PageCache):
    """A memory that counts what came the usual way."""

    usual = 0

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        self.usual += scope["type"] == "http"
        await super().__call__(scope, receive, send)


class Served:
    """A server whose one page says how often it was made, and an account that may be revoked."""

    def __init__(self) -> None:
        self.made, self.good, self.now = 0, True, 0.0
        app = FastAPI()
        problems.install(app)
        app.state.services = self
        app.get("/page")(self.page)
        app.post("/change")(self.page)
        app.get("/endless")(self.endless)
        self.ended = asyncio.Event()
        self.accounts = self
        self.memory = Noted(app, ["/page"], 0.5, lambda: self.now)

    async def page(self, request: Request) -> dict[str, object]:
        await self.actor_of("one")
        await request.body()
        self.made += 1
        return {"made": self.made}

    async def endless(self) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(1024 * 1024)
                    await asyncio.sleep(0)  # as an export does, which is read on a thread
            finally:
                self.ended.set()

        return StreamingResponse(parts())

    async def actor_of(self, token: str, source: str = "") -> str:
        if not self.good:
            raise NotAuthenticated("log in again")
        return token

    def lately_known(self, token: str) -> str | None:
        return token if self.good and token == "one" else None


class Server(uvicorn.Server):
    """Leaves signals alone and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Caller:
    """One connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, octets: bytes) -> tuple[bytes, bytes]:
        self.writer.write(octets)
        return await self.answer()

    async def answer(self) -> tuple[bytes, bytes]:
        """Returns the head of an answer, its date left out, and the body."""
        async with asyncio.timeout(DEADLINE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if not line.startswith(b"date:")]
            (length,) = [int(x[15:]) for x in lines if x.startswith(b"content-length:")]
            return b"\n".join(lines), await self.reader.readexactly(length)


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def port(served: Served) -> AsyncIterator[int]:
    memory = served.memory
    config = uvicorn.Config(memory, port=0, http=answering_from(memory), log_config=None)
    server = Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(DEADLINE_S):
        await server.is_up.wait()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


@pytest.fixture
async def caller(port: int) -> AsyncIterator[Caller]:
    made = Caller(*await asyncio.open_connection("127.0.0.1", port))
    yield made
    made.writer.close()


async def test_octets_that_came_before_get_the_same_answer_without_being_parsed(
    served: Served, caller: Caller
) -> None:
    first = await caller.ask(PAGE)
    assert [await caller.ask(PAGE) for _ in range(3)] == [first] * 3
    assert first[1] == b'{"made":1}'
    assert served.memory.usual == 1
    served.now = 0.5
    assert (await caller.ask(PAGE))[1] == b'{"made":2}'
    assert (served.memory.usual, served.made) == (2, 2)


async def test_another_connection_and_other_words_are_served_too(
    served: Served, caller: Caller, port: int
) -> None:
    first = await caller.ask(PAGE)
    other = Caller(*await asyncio.open_connection("127.0.0.1", port))
    assert await other.ask(PAGE) == first
    assert served.memory.usual == 1
    assert (await other.ask(PAGE.replace(b"one", b"two")))[1] == b'{"made":2}'
    other.writer.close()


async def test_who_is_revoked_gets_no_page(served: Served, caller: Caller) -> None:
    await caller.ask(PAGE)
    await caller.ask(PAGE)
    served.good = False
    head, _ = await caller.ask(PAGE)
    assert head.startswith(b"HTTP/1.1 401")
    assert served.made == 1


async def test_a_change_empties_the_memory(served: Served, caller: Caller) -> None:
    await caller.ask(PAGE)
    await caller.ask(b"POST /change HTTP/1.1\r\nhost: hes\r\ncontent-length: 0\r\n\r\n")
    assert (await caller.ask(PAGE))[1] == b'{"made":3}'


async def test_part_of_a_body_is_never_taken_for_a_request(served: Served, caller: Caller) -> None:
    await caller.ask(PAGE)
    head = b"POST /change HTTP/1.1\r\nhost: hes\r\ncontent-length: %d\r\n\r\n" % len(PAGE)
    for refused in (True, False):  # refused: answered before its body came
        served.good = not refused
        caller.writer.write(head)
        if refused:
            await caller.answer()
            served.good = True
        caller.writer.write(PAGE)
        if not refused:
            assert (await caller.answer())[1] == b'{"made":2}'
        assert served.made == 1 + (not refused)
    assert (await caller.ask(PAGE))[1] == b'{"made":3}'


async def test_two_requests_at_once_and_a_request_in_pieces_are_answered_in_order(
    served: Served, caller: Caller
) -> None:
    await caller.ask(PAGE)
    caller.writer.write(PAGE + PAGE)
    assert [(await caller.answer())[1] for _ in range(2)] == [b'{"made":1}'] * 2
    caller.writer.write(PAGE[:20])
    await asyncio.sleep(0.02)
    assert (await caller.ask(PAGE[20:]))[1] == b'{"made":1}'


async def test_a_caller_who_wants_to_close_is_closed(served: Served, caller: Caller) -> None:
    words = PAGE.replace(b"host", b"connection: close\r\nhost")
    await caller.ask(PAGE)
    await caller.ask(words)
    assert await caller.reader.read() == b""


SLOW = b"POST /change HTTP/1.1\r\nhost: hes\r\ncontent-length: 5\r\n\r\n"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageProtocol, "head_s", 0.2)
    monkeypatch.setattr(PageProtocol, "still_s", 0.2)
    monkeypatch.setattr(PageProtocol, "untaken_s", 0.2)


async def is_let_go(caller: Caller) -> bool:
    """Says that the server ends a connection; waits long for it."""
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionResetError):
            while await caller.reader.read(1024):
                pass
    return True


@pytest.mark.parametrize("said", [b"", PAGE[:20], SLOW, SLOW + b"abc"])
@pytest.mark.usefixtures("soon")
async def test_who_ends_no_request_is_let_go(caller: Caller, said: bytes) -> None:
    caller.writer.write(said)
    assert await is_let_go(caller)


@pytest.mark.usefixtures("soon")
async def test_a_head_that_drips_is_not_waited_for_longer(caller: Caller) -> None:
    async def drip() -> None:
        while True:
            caller.writer.write(b"x: y\r\n")
            await asyncio.sleep(0.02)

    caller.writer.write(PAGE[:-2])
    dripping = asyncio.create_task(drip())
    assert await is_let_go(caller)
    dripping.cancel()


@pytest.mark.usefixtures("soon")
async def test_who_takes_nothing_of_an_answer_ends_what_it_was_read_from(
    served: Served, caller: Caller
) -> None:
    caller.writer.write(PAGE.replace(b"/page", b"/endless"))
    async with asyncio.timeout(DEADLINE_S):
        await served.ended.wait()
