"""Channels and carriers over real sockets and pseudo-terminals."""

import asyncio
import contextlib
import os
import pty
import tty
from pathlib import Path

import pytest
from hesper_gateway.config import MeterConfig, PushSerialLine, PushTcpLine, SerialLine, TcpLine
from hesper_gateway.errors import LineDown, MeterSilent
from hesper_gateway.lines.channel import drive
from hesper_gateway.lines.listening import SerialEar, TcpEar
from hesper_gateway.lines.serial_port import SerialCarrier
from hesper_gateway.lines.tcp import TcpCarrier

METER = MeterConfig(id="HES1", line="test", template="hesper-sim")


class Terminal:
    """A pseudo-terminal under a stable name, as a serial adapter has one."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.open()

    def open(self) -> None:
        self.far, self._near = pty.openpty()
        tty.setraw(self._near)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._near))

    def unplug(self) -> None:
        os.close(self._near)
        os.close(self.far)

    def say(self, octets: bytes) -> None:
        os.write(self.far, octets)

    async def heard(self, count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            octets += await asyncio.to_thread(os.read, self.far, 4096)
        return octets


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(tmp_path / "rs485")
    yield terminal
    with contextlib.suppress(OSError):
        terminal.unplug()


def asks_then_collects(question: bytes, count: int):
    answer = b""
    silences = 0
    octets = question
    while len(answer) < count:
        arrived = yield octets
        octets = b""
        silences += not arrived
        answer += arrived
    return answer, silences


async def serving(answer):
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, TcpLine(
        name="t", kind="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1]
    )


async def test_an_exchange_runs_over_tcp_in_any_chunks():
    async def echo(reader, writer):
        for octet in await reader.readexactly(5):
            writer.write(bytes([octet]))
            await writer.drain()
        await reader.read()
        writer.close()

    server, line = await serving(echo)
    async with server:
        channel = await TcpCarrier(line).open(METER, 1)
        result = await drive(channel, asks_then_collects(b"hello", 5), answer_s=1, exchange_s=2)
        assert result == (b"hello", 0)
        await channel.release(broken=False)


async def test_silence_is_told_to_the_exchange_and_ends_by_the_deadline():
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    server, line = await serving(mute)
    async with server:
        channel = await TcpCarrier(line).open(METER, 1)
        with pytest.raises(MeterSilent, match=r"within 0\.05 s"):
            await drive(channel, asks_then_collects(b"?", 1), answer_s=0.01, exchange_s=0.05)
        await channel.release(broken=True)


async def test_a_closed_connection_is_a_line_that_is_down():
    async def hang_up(reader, writer):
        writer.close()

    server, line = await serving(hang_up)
    async with server:
        channel = await TcpCarrier(line).open(METER, 1)
        with pytest.raises(LineDown):
            await drive(channel, asks_then_collects(b"?", 1), answer_s=1, exchange_s=1)
        await channel.release(broken=True)


async def test_nobody_listening_is_a_line_that_is_down():
    server, line = await serving(lambda reader, writer: None)
    server.close()
    await server.wait_closed()
    with pytest.raises(LineDown, match=r"HES1 at 127\.0\.0\.1:\d+: Connection refused$"):
        await TcpCarrier(line).open(METER, 30)


async def test_a_name_of_two_addresses_is_not_said_to_be_late(monkeypatch):
    server, line = await serving(lambda reader, writer: None)
    server.close()
    await server.wait_closed()

    async def both_refuse(host, port):
        raise OSError("Multiple exceptions: refused by ::1, refused by 127.0.0.1")

    monkeypatch.setattr(asyncio, "open_connection", both_refuse)
    with pytest.raises(LineDown, match=r"refused by ::1"):
        await TcpCarrier(line).open(METER, 1)


async def test_a_serial_port_carries_more_than_its_buffers_hold(terminal):
    carrier = SerialCarrier(SerialLine(name="s", kind="serial", path=terminal.link))
    channel = await carrier.open(METER, 1)
    sent = bytes(range(256)) * 128
    heard, _ = await asyncio.gather(terminal.heard(len(sent)), channel.write(sent, 5))
    assert heard == sent
    terminal.say(b"answer")
    assert await channel.read(1) == b"answer"
    assert await channel.read(0.01) == b""
    await carrier.aclose()


async def test_a_probe_that_echoes_is_understood(terminal):
    carrier = SerialCarrier(SerialLine(name="s", kind="serial", path=terminal.link, echo=True))
    channel = await carrier.open(METER, 1)
    await channel.write(b"request", 1)
    terminal.say(await terminal.heard(7) + b"answer")
    assert await channel.read(1) == b"answer"
    await carrier.aclose()


async def test_what_arrived_before_a_turn_is_not_seen_in_it(terminal):
    carrier = SerialCarrier(SerialLine(name="s", kind="serial", path=terminal.link))
    first = await carrier.open(METER, 1)
    terminal.say(b"late answer")
    assert await first.read(1) == b"late answer"
    terminal.say(b"later still")
    await asyncio.sleep(0.01)
    await first.release(broken=True)
    second = await carrier.open(METER, 1)
    terminal.say(b"fresh")
    assert await second.read(1) == b"fresh"
    await carrier.aclose()


async def test_a_port_that_was_unplugged_is_opened_again(terminal):
    carrier = SerialCarrier(SerialLine(name="s", kind="serial", path=terminal.link))
    channel = await carrier.open(METER, 1)
    terminal.unplug()
    with pytest.raises(LineDown):
        await channel.read(1)
    await channel.release(broken=True)
    with pytest.raises(LineDown):
        await carrier.open(METER, 1)
    terminal.open()
    channel = await carrier.open(METER, 1)
    terminal.say(b"back")
    assert await channel.read(1) == b"back"
    await carrier.aclose()


class Heard:
    def __init__(self) -> None:
        self.streams: list[bytearray] = []
        self._changed = asyncio.Event()

    def new_sink(self):
        stream = bytearray()
        self.streams.append(stream)

        async def sink(octets: bytes) -> None:
            stream.extend(octets)
            self._changed.set()

        return sink

    async def until(self, octets: bytes) -> None:
        async with asyncio.timeout(60):
            while octets not in self.streams:
                self._changed.clear()
                await self._changed.wait()


async def test_a_push_port_hears_across_a_restart_of_the_other_side(terminal, caplog):
    heard = Heard()
    ear = SerialEar(PushSerialLine(name="push", kind="push-serial", path=terminal.link))
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(ear.run(heard.new_sink, print))
        terminal.say(b"one")
        await heard.until(b"one")
        terminal.unplug()
        terminal.open()
        terminal.say(b"two")
        await heard.until(b"two")
        listening.cancel()
    lines = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 1


async def test_each_connection_to_a_push_port_is_a_stream_of_its_own():
    heard = Heard()
    ear = TcpEar(PushTcpLine(name="push", kind="push-tcp", port=0))
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(ear.run(heard.new_sink, print))
        await ear.listening.wait()
        writers = []
        for name in (b"first", b"second"):
            _, writer = await asyncio.open_connection("127.0.0.1", ear.port)
            writer.write(name)
            writers.append(writer)
        await heard.until(b"first")
        await heard.until(b"second")
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        listening.cancel()


async def test_a_connection_too_many_is_told_and_the_first_goes_on():
    heard, lost = Heard(), []
    ear = TcpEar(PushTcpLine(name="push", kind="push-tcp", port=0, connections_max=1))
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(ear.run(heard.new_sink, lost.append))
        await ear.listening.wait()
        _, first = await asyncio.open_connection("127.0.0.1", ear.port)
        first.write(b"first")
        await heard.until(b"first")
        reader, second = await asyncio.open_connection("127.0.0.1", ear.port)
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        assert lost == ["a connection came beside 1 others"]
        for writer in (first, second):
            writer.close()
        listening.cancel()


async def test_a_port_that_goes_while_there_is_no_room_ends_the_write(terminal):
    channel = await SerialCarrier(SerialLine(name="s", kind="serial", path=terminal.link)).open(
        METER, 1
    )
    writing = asyncio.create_task(channel.write(bytes(1 << 20), 60))
    await asyncio.sleep(0.01)  # nobody reads: the terminal is full
    terminal.unplug()
    async with asyncio.timeout(60):
        with pytest.raises(LineDown):
            await writing
