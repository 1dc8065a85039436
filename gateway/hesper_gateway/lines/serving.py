"""A TCP port on which meters come to us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hesper_gateway.config import DialInLine, PushTcpLine
from hesper_gateway.errors import LineDown

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(line: DialInLine | PushTcpLine, answer: Answer) -> AsyncIterator[int]:
    """Take connections while the context lasts; give the port, and leave the open ones open.

    From Python 3.12 on a server's own end waits for everybody who is connected, and a meter that
    stays would keep the agent from ending: here it is only closed, and its user hangs up.

    Raises:
        LineDown: the port cannot be listened on.
    """
    try:
        server = await asyncio.start_server(answer, line.host, line.port)
    except OSError as error:
        raise LineDown(f"line {line.name}: cannot listen: {error.strerror}") from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
