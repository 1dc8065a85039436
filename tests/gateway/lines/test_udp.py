"""Reading over UDP, and the UDP port for pushes, over real sockets."""

import asyncio
import socket

import pytest
from hesper_dlms.wrapper import wrap
from hesper_gateway.config import PushUdpLine, UdpLine
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.listening import UdpEar
from hesper_gateway.lines.udp import UdpCarrier


@pytest.fixture
def far():
    """The meter's socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(5)
        yield far


@pytest.fixture
async def channel(far, meter_config):
    line = UdpLine(name="u", kind="udp", host="127.0.0.1", port=far.getsockname()[1])
    channel = await UdpCarrier(line).open(meter_config(), 1)
    yield channel
    await channel.release(broken=False)


async def test_each_apdu_is_a_datagram_of_its_own(channel, far):
    first, second = wrap(16, 1, b"\xc0\x01"), wrap(16, 1, b"\xc0\x02")
    await channel.write(first + second, 1)
    heard = [far.recvfrom(100) for _ in range(2)]
    assert [octets for octets, _ in heard] == [first, second]
    answer = wrap(1, 16, b"\xc4")
    for octets in (answer[:-1], answer + b"\0", b"noise", b"", answer):
        far.sendto(octets, heard[0][1])
    assert await channel.read(1) == answer
    assert await channel.read(0.01) == b""


async def test_strangers_are_not_heard(channel, far):
    await channel.write(wrap(16, 1, b"\xc0"), 1)
    _, us = far.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(wrap(1, 16, b"\xc4\xff"), us)
    far.sendto(wrap(1, 16, b"\xc4"), us)
    assert await channel.read(1) == wrap(1, 16, b"\xc4")


async def test_nobody_listening_is_a_line_that_is_down(channel, far):
    far.close()
    await channel.write(wrap(16, 1, b"\xc0"), 1)
    with pytest.raises(LineDown, match="takes no datagrams"):
        await channel.read(1)
    with pytest.raises(LineDown):
        await channel.write(b"", 1)


async def test_senders_of_pushes_are_kept_apart_and_the_oldest_is_forgotten():
    streams: list[bytearray] = []
    changed = asyncio.Event()

    def new_sink():
        stream = bytearray()
        streams.append(stream)

        async def sink(octets: bytes) -> None:
            stream.extend(octets)
            changed.set()

        return sink

    ear = UdpEar(PushUdpLine(name="p", kind="push-udp", port=0, senders_max=2))
    running = asyncio.create_task(ear.run(new_sink, print))
    await ear.listening.wait()
    senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for number, wanted in ((0, 1), (1, 2), (0, 3), (2, 4), (0, 5), (1, 6)):
        senders[number].sendto(b"%d" % number, ("127.0.0.1", ear.port))
        async with asyncio.timeout(60):
            while sum(map(len, streams)) < wanted:
                changed.clear()
                await changed.wait()
    assert streams == [b"000", b"1", b"2", b"1"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for sender in senders:
        sender.close()


async def test_a_port_that_is_taken_is_a_line_that_is_down(far):
    ear = UdpEar(PushUdpLine(name="p", kind="push-udp", port=far.getsockname()[1]))
    with pytest.raises(LineDown, match="cannot listen"):
        await ear.run(lambda: None, print)
