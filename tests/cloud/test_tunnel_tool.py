"""The tool's end of a tunnel: what a vendor's program sees of it, without a broker."""

import asyncio
from collections.abc import Callable

import pytest
from hesper_cloud.settings import BrokerSettings
from hesper_cloud.tunnel import NoTunnel, ToolEnd, Wanted
from hesper_contracts import tunnel
from hesper_contracts.tunnel import Direction, Message, Type

COMMAND = "7d1f5a7e-1111-4222-8333-944445555666"
PATIENCE_S = 10.0


def said(type_: Type, sequence: int = 0, content: bytes = b"") -> bytes:
    """A message of the gateway."""
    session = tunnel.session_of(COMMAND)
    return tunnel.to_payload(Message(session, Direction.UP, type_, sequence, content))


def by_gateway(end: ToolEnd) -> None:
    end._take(said(Type.CLOSE, content=b"its time is over"))


def by_loss(end: ToolEnd) -> None:
    end._take(said(Type.DATA, 3))


@pytest.mark.parametrize("over", [by_gateway, by_loss, ToolEnd.stop])
async def test_a_program_that_is_connected_is_hung_up_on_when_the_tunnel_is_over(
    over: Callable[[ToolEnd], None],
) -> None:
    """Else the closed port waits for it, and the command neither ends nor says why."""
    end = ToolEnd(BrokerSettings(), Wanted("gw-1", COMMAND, "127.0.0.1", 0, 1.0))
    led = asyncio.Event()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        led.set()
        await end.lead(reader, writer)

    server = await asyncio.start_server(lead, "127.0.0.1", 0)
    end._take(said(Type.HELLO))
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await led.wait()
        end._take(said(Type.DATA, 1, b"\x7e\xa0"))
        over(end)
        assert await reader.read() == b"\x7e\xa0", "what the meter said before has arrived"
        server.close()
        await server.wait_closed()
        writer.close()
    if over is by_loss:
        with pytest.raises(NoTunnel, match="was lost"):
            end.closed.result()
