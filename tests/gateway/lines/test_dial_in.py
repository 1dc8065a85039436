"""Meters that call: how they are known, kept, replaced and woken."""

import asyncio

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import Ciphered, DataNotification
from hesper_dlms.wrapper import wrap
from hesper_gateway.config import DialInLine, GatewayConfig, MeterConfig
from hesper_gateway.errors import ConfigError, LineDown
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.dial_limits import DialOut
from hesper_gateway.lines.modem_dialogues import Registration
from hesper_gateway.lines.recognition import KnownMeters, asked_name
from hesper_gateway.lines.wake_up import MessageWakeUp
from hesper_gateway.lines.whole_frames import WholeFrames
from hesper_sim import in_memory
from hesper_sim.fleet import FleetSettings
from pydantic import ValidationError

TITLE, NAME = b"HSP\0\0\0\0\1", "HSP0000000000001"
METER = MeterConfig(
    id="M1",
    line="cell",
    template="hesper-sim",
    system_title=TITLE.hex(),
    logical_device_name=NAME,
    phone="+491510001",
)
GENERAL_GLO = 0xDB


def notification(*texts: bytes) -> bytes:
    body = axdr.structure(axdr.array(*(axdr.octet_string(text) for text in texts)))
    return wrap(1, 102, DataNotification(1, None, axdr.encode(body)).to_octets())


HELLO = notification(TITLE, NAME.encode())


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
@pytest.mark.parametrize("heartbeat", ["00", "0000", "fe", "aa55aa55", "000100010001000100"])
def test_heartbeats_are_swallowed_between_apdus_alone(chunk, heartbeat):
    beat = bytes.fromhex(heartbeat)
    frames = [wrap(1, 16, beat * 3), wrap(1, 16, b""), wrap(1, 16, b"\xc4" + beat)]
    stream = beat + frames[0] + beat * 2 + frames[1] + frames[2] + beat
    reader = WholeFrames([beat])
    found = []
    for start in range(0, len(stream), chunk):
        found += reader.receive(stream[start : start + chunk])
    assert found == frames


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1", b"\x7e\xa0", b"\x00\x02"])
def test_what_is_neither_apdu_nor_heartbeat_ends_the_call(octets):
    with pytest.raises(LineDown):
        WholeFrames([b"\xfe"]).receive(octets)


class Caller:
    """A meter's end of a call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def is_hung_up_on(self) -> bool:
        try:
            async with asyncio.timeout(60):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@pytest.fixture
async def listening():
    """Starts listeners: `dial_in, call = await listening(idle_s=1)`."""
    running: list[asyncio.Task] = []
    callers: list[Caller] = []

    async def start(meters=(METER,), wake_up=None, **settings):
        line = DialInLine(**({"name": "cell", "kind": "dial-in", "port": 0} | settings))
        dial_in = DialIn(line, meters, wake_up)
        dial_in.called_ids = asyncio.Queue()
        dial_in.on_call = dial_in.called_ids.put_nowait
        running.append(asyncio.create_task(dial_in.run()))
        await dial_in.listening.wait()

        async def call(octets: bytes = HELLO) -> Caller:
            caller = Caller(*await asyncio.open_connection("127.0.0.1", dial_in.port))
            callers.append(caller)
            await caller.say(octets)
            return caller

        return dial_in, call

    yield start
    for caller in callers:
        caller.writer.close()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


CIPHERED = wrap(1, 102, Ciphered(GENERAL_GLO, 0x30, 1, bytes(20), TITLE).to_octets())


@pytest.mark.parametrize(
    "first", [HELLO, notification(TITLE), notification(b"x", NAME.encode()), CIPHERED]
)
async def test_a_caller_is_known_by_title_or_name_in_its_first_apdu(listening, first):
    dial_in, call = await listening()
    caller = await call(first)
    channel = await dial_in.open(METER, 5)
    await channel.write(wrap(16, 1, b"?"), 1)
    assert await caller.reader.readexactly(9) == wrap(16, 1, b"?")
    await caller.say(wrap(1, 16, b"!") + wrap(1, 16, b"!!"))
    assert await channel.read(1) == wrap(1, 16, b"!")
    assert await channel.read(1) == wrap(1, 16, b"!!")
    assert await channel.read(0.01) == b""


async def test_a_caller_that_says_nothing_is_asked_for_its_name(listening):
    fleet = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False)
    (meter,) = in_memory.meters(fleet, history_days=1).values()
    name = meter.server.meter.plan.logical_device_name
    config = METER.model_copy(update={"system_title": None, "logical_device_name": name})
    dial_in, call = await listening([config], ask_after_s=0.02, heartbeats=["fe"])
    caller = await call(b"\xfe")

    async def answer() -> None:
        while octets := await caller.reader.read(4096):
            await caller.say(b"\xfe" + meter.receive(octets))

    answering = asyncio.create_task(answer())
    assert await dial_in.called_ids.get() == "M1"
    assert dial_in.called("M1")
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


@pytest.mark.parametrize(
    "first",
    [
        notification(b"stranger"),
        notification(TITLE, b"HSP0000000000002"),
        wrap(1, 16, b"\xc4\x01"),
        wrap(1, 16, bytes.fromhex("0101")),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_who_is_not_known_is_hung_up_on(listening, first):
    other = METER.model_copy(
        update={"id": "M2", "system_title": None, "logical_device_name": "HSP0000000000002"}
    )
    dial_in, call = await listening([METER, other])
    assert await (await call(first)).is_hung_up_on()
    assert dial_in.strangers_count == 1


async def test_callers_that_have_not_said_who_they_are_are_limited(listening):
    dial_in, call = await listening(strangers_max=1)
    silent = await call(b"")
    await silent.say(HELLO[:5])
    assert await (await call(HELLO)).is_hung_up_on()
    await silent.say(HELLO[5:])
    assert await dial_in.called_ids.get() == "M1"
    await call(HELLO)
    assert await dial_in.called_ids.get() == "M1"


async def test_what_was_said_between_turns_answers_nothing(listening):
    dial_in, call = await listening(heartbeats=["aa55"])
    caller = await call()
    first = await dial_in.open(METER, 5)
    await caller.say(wrap(1, 16, b"one"))
    assert await first.read(5) == wrap(1, 16, b"one")
    await first.release(broken=False)
    late = wrap(1, 16, b"late")
    await caller.say(late[:3])
    await asyncio.sleep(0.01)
    await caller.say(late[3:] + b"\xaa\x55")
    await asyncio.sleep(0.01)
    second = await dial_in.open(METER, 5)
    await caller.say(wrap(1, 16, b"two"))
    assert await second.read(5) == wrap(1, 16, b"two")


async def test_a_meter_that_is_silent_too_long_is_hung_up_on_and_one_with_heartbeats_is_not(
    listening,
):
    dial_in, call = await listening(idle_s=0.4, heartbeats=["fe"])
    caller = await call()
    for _ in range(12):
        await asyncio.sleep(0.05)
        await caller.say(b"\xfe")
    assert dial_in.called("M1")
    assert await caller.is_hung_up_on()
    assert not dial_in.called("M1")


async def test_a_meter_that_hangs_up_is_noticed_behind_what_it_said_before(listening):
    dial_in, call = await listening()
    caller = await call(HELLO + HELLO)
    await dial_in.called_ids.get()
    caller.writer.close()
    async with asyncio.timeout(60):
        while dial_in.called("M1"):  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.005)
    with pytest.raises(LineDown, match="M1 does not call"):
        await dial_in.open(METER, 0.01)


async def test_a_newer_call_takes_the_place_of_one_that_nobody_uses(listening):
    dial_in, call = await listening()
    older = await call()
    await dial_in.called_ids.get()
    newer = await call()
    assert await older.is_hung_up_on()
    channel = await dial_in.open(METER, 5)
    await newer.say(wrap(1, 16, b"new"))
    assert await channel.read(5) == wrap(1, 16, b"new")


@pytest.mark.parametrize("broken", [False, True])
async def test_a_newer_call_waits_for_what_is_under_way_on_the_older(listening, broken):
    dial_in, call = await listening()
    older = await call()
    await dial_in.called_ids.get()
    channel = await dial_in.open(METER, 5)
    replaced, newer = await call(), await call()
    assert await replaced.is_hung_up_on()
    await older.say(wrap(1, 16, b"answer"))
    assert await channel.read(5) == wrap(1, 16, b"answer")
    assert dial_in.called_ids.empty()
    await channel.release(broken=broken)
    assert await older.is_hung_up_on()
    assert await dial_in.called_ids.get() == "M1"
    channel = await dial_in.open(METER, 5)
    await newer.say(wrap(1, 16, b"new"))
    assert await channel.read(5) == wrap(1, 16, b"new")


async def test_the_newest_call_stays_when_the_one_in_use_ended_before_it(listening):
    dial_in, call = await listening()
    first = await call()
    await dial_in.called_ids.get()
    channel = await dial_in.open(METER, 5)
    replaced, second = await call(), await call()
    assert await replaced.is_hung_up_on()
    first.writer.close()
    with pytest.raises(LineDown):
        await channel.read(5)
    third = await call()
    assert await dial_in.called_ids.get() == "M1"
    await channel.release(broken=True)
    assert await second.is_hung_up_on()
    channel = await dial_in.open(METER, 5)
    await third.say(wrap(1, 16, b"third"))
    assert await channel.read(5) == wrap(1, 16, b"third")


async def test_who_uses_a_call_learns_that_it_has_ended(listening):
    dial_in, call = await listening()
    caller = await call()
    channel = await dial_in.open(METER, 5)
    caller.writer.close()
    with pytest.raises(LineDown):
        await channel.read(5)


async def test_a_meter_is_woken_by_a_message_and_calls(listening, modem, port_on, ledger, wall):
    line = DialInLine(name="cell", kind="dial-in", port=0, wake_modem="gsm", wake_text="UP 1")
    port = port_on()
    dial_in, call = await listening(wake_up=MessageWakeUp(line, port, ledger, wall))

    async def wakes() -> None:
        await modem.until(lambda modem: modem.messages and modem.messages[0].endswith("UP 1"))
        await call()

    waking = asyncio.create_task(wakes())
    channel = await dial_in.open(METER, 0.01)
    await waking
    await channel.release(broken=True)
    assert modem.messages == ["+491510001: UP 1"]
    wall.now += 119.99
    with pytest.raises(LineDown, match="does not call"):
        await dial_in.open(METER, 0.01)
    assert len(modem.messages) == 1
    wall.now += line.wake_again_s
    modem.registrations = [3]
    modem.answers["AT+CEREG?"] = "ERROR"
    with pytest.raises(LineDown, match="denies registration"):
        await dial_in.open(METER, 0.01)
    assert port.network.registration is Registration.UNKNOWN
    assert ledger.last(DialOut.MESSAGE, "M1") == wall.now - 119.99 - line.wake_again_s


@pytest.mark.parametrize(
    ("line", "meter", "says"),
    [
        ({"kind": "dial-in", "port": 1}, {}, "needs its system_title or logical_device_name"),
        ({"kind": "dial-in", "port": 1, "wake_modem": "x"}, {}, "no modem is named 'x'"),
        ({"kind": "csd", "modem": "x"}, {}, "no modem is named 'x'"),
        ({"kind": "csd", "modem": "gsm"}, {}, "needs its phone"),
        ({"kind": "dial-in", "port": 1, "heartbeats": ["0"]}, {}, "pattern"),
        ({"kind": "dial-in", "port": 1, "heartbeats": ["000100"]}, {}, "begin so as well"),
    ],
)
def test_what_cannot_work_is_refused_at_once(line, meter, says):
    with pytest.raises(ValidationError, match=says):
        GatewayConfig.model_validate(
            {
                "gateway": "g",
                "broker": {"host": "h"},
                "modems": [{"name": "gsm", "path": "/dev/null"}],
                "lines": [{"name": "l"} | line],
                "meters": [{"id": "M", "line": "l", "template": "t"} | meter],
            }
        )


@pytest.mark.parametrize("title", [b"HSP\0\0\0\0 ", b"HSP\0\0\0\1\0"])
async def test_a_title_that_ends_like_padding_is_known(listening, title):
    meter = METER.model_copy(update={"system_title": title.hex(), "logical_device_name": None})
    dial_in, call = await listening([meter])
    await call(notification(title))
    async with asyncio.timeout(60):
        assert await dial_in.called_ids.get() == "M1"


async def test_a_name_that_was_asked_for_may_be_padded():
    meter = METER.model_copy(update={"system_title": None})
    asking = asked_name()
    server_says = [
        bytes.fromhex(
            "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400001e1d04c80007"
        ),
        bytes.fromhex("c401c10009") + bytes([len(NAME) + 2]) + NAME.encode() + b"\0 ",
        bytes.fromhex("6303800100"),
    ]
    name = None
    try:
        next(asking)
        for said in server_says:
            asking.send(wrap(1, 16, said))
    except StopIteration as end:
        name = end.value
    assert KnownMeters([meter]).named([name]) == "M1"


def test_two_meters_of_one_name_are_refused():
    other = METER.model_copy(update={"id": "M2", "system_title": None})
    with pytest.raises(ConfigError, match="M1 and M2: on line cell both are called"):
        KnownMeters([METER, other])
