"""A port that meters come to ends although they stay, as the agent has to at a restart."""

import asyncio
import contextlib
from asyncio.base_events import Server

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import DataNotification
from hesper_dlms.wrapper import wrap
from hesper_gateway.config import DialInLine, MeterConfig, PushTcpLine
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.listening import TcpEar

NAME = "HSP0000000000001"
HELLO = axdr.encode(axdr.structure(axdr.octet_string(NAME.encode())))


@pytest.fixture(autouse=True)
def server_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a server's own end wait for its connections, as from Python 3.12 on."""

    async def never(_: Server) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Server, "wait_closed", never)


async def ends(running: asyncio.Task[None], reader: asyncio.StreamReader) -> None:
    """Stop a port; it has to end, and to hang up."""
    running.cancel()
    await asyncio.wait([running])
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""


async def test_a_device_that_stays_keeps_no_push_port_from_ending() -> None:
    port, heard = TcpEar(PushTcpLine(name="push", kind="push-tcp", port=0)), asyncio.Event()

    async def sink(_: bytes) -> None:
        heard.set()

    running = asyncio.create_task(port.run(lambda: sink, print))
    async with asyncio.timeout(30):
        await port.listening.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(b"one")
        await heard.wait()
        await ends(running, reader)
    writer.close()


async def test_a_meter_that_stays_keeps_no_dial_in_from_ending() -> None:
    meter = MeterConfig(id="M1", line="in", template="hesper-sim", logical_device_name=NAME)
    port, called = DialIn(DialInLine(name="in", kind="dial-in", port=0), [meter]), asyncio.Event()
    port.on_call = lambda _: called.set()
    running = asyncio.create_task(port.run())
    async with asyncio.timeout(30):
        await port.listening.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
        writer.write(wrap(1, 102, DataNotification(1, None, HELLO).to_octets()))
        await called.wait()
        await ends(running, reader)
    writer.close()
