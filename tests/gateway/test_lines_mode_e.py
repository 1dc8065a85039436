"""A gateway's serial line that signs on by mode E, at a pseudo-terminal."""

import asyncio
import contextlib
import os
import pty
import termios
import tty

import pytest
from hesper_dlms import mode_e
from hesper_dlms.mode_e import MeterSignOn
from hesper_gateway.config import MeterConfig, SerialLine
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.serial_port import SerialCarrier

METER = MeterConfig(id="HXE1", line="optical", template="hesper-sim")
SPEEDS = {termios.B300: 300, termios.B9600: 9600, termios.B19200: 19200}


class OpticalMeter:
    """Signs on, then turns every message round; `echo` repeats what it hears first."""

    def __init__(self, echo=False, mute=False, address=""):
        self.far, self.near = pty.openpty()
        tty.setraw(self.near)
        self.path = os.ttyname(self.near)
        self.sign_on = MeterSignOn(r"/HXE5\2HXE12", address)
        self.speeds = []
        self._echo, self._mute = echo, mute

    @property
    def speed(self):
        return SPEEDS.get(termios.tcgetattr(self.near)[4])

    async def live(self):
        while True:
            octets = await asyncio.to_thread(os.read, self.far, 4096)
            if self._echo:
                os.write(self.far, octets)
            if self.sign_on.signed_on:
                os.write(self.far, octets[::-1])
                continue
            for step in self.sign_on.receive(octets):
                if step.octets and not self._mute:
                    await self._reach(step.line.baudrate)
                    os.write(self.far, step.octets)

    async def _reach(self, baudrate):
        async with asyncio.timeout(60):
            while self.speed != baudrate:  # noqa: ASYNC110 - a pty tells nobody of its speed
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)  # the shortest reaction time of a meter
        self.speeds.append(baudrate)


@pytest.fixture
async def start():
    """Starts meters: `start(echo=True)`."""
    started = []

    def start(**how):
        meter = OpticalMeter(**how)
        started.append((meter, asyncio.create_task(meter.live())))
        return meter

    yield start
    for meter, living in started:
        living.cancel()
        os.write(meter.near, b"end")  # wakes the reading thread
        with contextlib.suppress(asyncio.CancelledError):
            await living
        os.close(meter.far)
        os.close(meter.near)


def carrier(meter, **other):
    return SerialCarrier(
        SerialLine(name="optical", kind="serial", path=meter.path, mode_e=True, **other)
    )


@pytest.mark.parametrize("echo", [False, True])
async def test_each_association_signs_on_and_goes_on_at_the_new_speed(start, echo):
    meter = start(echo=echo)
    line = carrier(meter, echo=echo)
    for _ in range(2):
        channel = await line.open(METER, 1)
        assert (meter.speeds, meter.speed) == ([300, 9600], 9600)
        await channel.write(b"hdlc", 1)
        assert await channel.read(1) == b"cldh"
        await channel.release(broken=False)
        meter.sign_on.reset()
        meter.speeds.clear()
    await line.aclose()


@pytest.mark.parametrize(("line_says", "meter_says"), [("4711", None), ("1", "4711")])
async def test_one_of_several_meters_is_asked_by_its_address(start, line_says, meter_says):
    meter = start(address="4711")
    line = carrier(meter, mode_e_address=line_says)
    await line.open(METER.model_copy(update={"mode_e_address": meter_says}), 1)
    assert meter.sign_on.signed_on
    await line.aclose()


async def test_a_line_that_nobody_answers_on_is_down(start, monkeypatch):
    monkeypatch.setattr(mode_e, "_TALK_S", 0.02)
    meter = start(mute=True)
    with pytest.raises(LineDown, match="no sign-on by mode E"):
        await carrier(meter).open(METER, 1)
