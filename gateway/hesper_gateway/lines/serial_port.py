"""A serial port driven by the event loop.

pyserial opens and sets up the port (termios, exclusive use); after that its descriptor is read
when the loop says that octets are there and written when it says that there is room, so no
thread and no blocking call is involved. A pseudo-terminal works the same way.
"""

import asyncio
import contextlib
import logging
import os
import termios
from pathlib import Path

import serial
from hesper_dlms.errors import DlmsError
from hesper_dlms.mode_e import Identification, LineSettings, SignOn, sign_on, with_even_parity

from hesper_gateway.config import MeterConfig, SerialLine
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import READ_OCTETS

log = logging.getLogger(__name__)

_HELD_MAX = 1 << 20


class SerialPort:
    """An open port: one reader, one writer, all inside one event loop.

    Args:
        port: Opened by pyserial; this object closes it.
        echo: Octets that we send come back first and are skipped.
    """

    def __init__(self, port: serial.Serial, echo: bool = False) -> None:
        self._port = port
        self._descriptor: int = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._echo = echo
        self._echo_due = bytearray()
        self._lost: str | None = None
        self._line_settings: LineSettings | None = None
        self._parity_by_hand = False
        self._loop.add_reader(self._descriptor, self._on_readable)

    @property
    def lost(self) -> bool:
        """Whether the port has gone away or was closed."""
        return self._lost is not None

    async def read(self, timeout_s: float) -> bytes:
        """Return what arrived, or nothing after that time; LineDown when the port is gone."""
        if not self._held and self._lost is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
        if self._held:
            return self._take()
        if self._lost is not None:
            raise LineDown(self._lost)
        return b""

    async def write(self, octets: bytes, timeout_s: float) -> None:
        """Send everything within the time; LineDown otherwise."""
        if self._lost is not None:
            raise LineDown(self._lost)
        if self._echo:
            self._echo_due += octets
        rest = memoryview(octets)
        try:
            async with asyncio.timeout(timeout_s):
                while rest := rest[self._write_some(rest) :]:
                    await self._writable()
                    if self._lost is not None:
                        raise LineDown(self._lost)
        except OSError as error:
            raise LineDown(f"serial port: cannot send: {error}") from error

    async def sign_on(self, steps: SignOn, write_timeout_s: float = 10.0) -> Identification:
        """Go through a sign-on by mode E; afterwards the line is set for HDLC.

        Raises:
            LineDown: the port is gone, nobody answered, or the meter offers no HDLC.
        """
        try:
            step = next(steps)
            while True:
                await self._set_line(step.line)
                if step.octets:
                    parity = self._parity_by_hand
                    octets = with_even_parity(step.octets) if parity else step.octets
                    await self.write(octets, write_timeout_s)
                    await asyncio.to_thread(termios.tcdrain, self._descriptor)
                step = steps.send(await self.read(step.timeout_s) if step.timeout_s else b"")
        except StopIteration as end:
            meter: Identification = end.value
            return meter
        except (DlmsError, termios.error) as error:
            raise LineDown(f"no sign-on by mode E: {error}") from error

    async def _set_line(self, line: LineSettings) -> None:
        """Change speed and framing where they differ, and drop what had arrived."""
        port = self._port
        if line == self._line_settings:
            return
        self._parity_by_hand = False
        try:
            try:
                await asyncio.to_thread(_apply, port, line)
            except termios.error:  # a port without 7E1, such as a pseudo-terminal
                await asyncio.to_thread(_apply, port, line.with_eight_bits)
                self._parity_by_hand = True
        except (OSError, ValueError) as error:
            raise LineDown(f"serial port: {error}") from error
        self._line_settings = line
        self.drop_arrived()

    def drop_arrived(self) -> None:
        """Forget what has arrived and what echo is due: a new exchange begins."""
        self._take()
        self._echo_due.clear()
        if self._lost is None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def close(self) -> None:
        """Close the port; closing twice is harmless."""
        self._lose("serial port: closed")

    def _take(self) -> bytes:
        octets = bytes(self._held)
        self._held.clear()
        if self._lost is None:
            self._arrived.clear()
        return octets

    def _on_readable(self) -> None:
        try:
            octets = os.read(self._descriptor, READ_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"serial port: {error.strerror}")
            return
        if not octets:
            self._lose("serial port: gone")
            return
        octets = self._without_echo(octets)
        if octets and len(self._held) < _HELD_MAX:
            self._held += octets
            self._arrived.set()

    def _without_echo(self, octets: bytes) -> bytes:
        due = self._echo_due
        count = 0
        while count < len(octets) and count < len(due) and octets[count] == due[count]:
            count += 1
        del due[:count]
        if count < len(octets):
            due.clear()
        return octets[count:]

    def _write_some(self, octets: memoryview) -> int:
        try:
            return os.write(self._descriptor, octets)
        except BlockingIOError:
            return 0

    async def _writable(self) -> None:
        self._room.clear()
        self._loop.add_writer(self._descriptor, self._room.set)
        try:
            await self._room.wait()
        finally:
            if self._lost is None:  # else the number may be that of another file by now
                self._loop.remove_writer(self._descriptor)

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._port.close()
            self._arrived.set()
            self._room.set()


def _apply(port: serial.Serial, line: LineSettings) -> None:
    changed = {
        "baudrate": line.baudrate,
        "bytesize": int(line.framing[0]),
        "parity": line.framing[1],
        "stopbits": int(line.framing[2]),
    }
    port.apply_settings({**port.get_settings(), **changed})


class _Port(serial.Serial):
    """A port that keeps what had arrived before it was opened: pushes are said only once."""

    def _reset_input_buffer(self) -> None:
        """Called by pyserial's open(); dropping is left to `SerialPort.drop_arrived`."""


async def open_port(path: Path, baudrate: int, framing: str, echo: bool = False) -> SerialPort:
    """Open a serial port, for this process alone.

    Args:
        path: The character device, or a link to it.
        baudrate: Bits per second.
        framing: Data bits, parity and stop bits, as in ``8N1``.
        echo: See `SerialPort`.

    Raises:
        LineDown: absent, busy or not permitted.
    """

    def opened() -> serial.Serial:
        return _Port(
            str(path),
            baudrate,
            bytesize=int(framing[0]),
            parity=framing[1],
            stopbits=int(framing[2]),
            timeout=0,
            exclusive=True,
        )

    try:
        return SerialPort(await asyncio.to_thread(opened), echo)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise LineDown(f"{path}: {error}") from error


class _Lease:
    """The shared port in the hands of whoever has the line's turn."""

    def __init__(self, port: SerialPort) -> None:
        self._port = port
        self.read = port.read
        self.write = port.write

    async def release(self, broken: bool) -> None:
        """Keep the port open; what is still on its way is dropped before the next use."""
        if broken:
            self._port.drop_arrived()


class SerialCarrier:
    """Lends out the one port of a serial line and opens it again when it had gone."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._port: SerialPort | None = None
        self.signed_on: Identification | None = None
        """What the meter said of itself at the last sign-on by mode E."""

    async def open(self, meter: MeterConfig, timeout_s: float) -> _Lease:
        """Return the port, opened if need be, and signed on where the line asks for mode E.

        Raises:
            LineDown: the port is absent, busy or not permitted, or nobody answers the sign-on.
        """
        if self._port is None or self._port.lost:
            line = self._line
            try:
                async with asyncio.timeout(timeout_s):
                    self._port = await open_port(line.path, line.baudrate, line.framing, line.echo)
            except TimeoutError as error:
                raise LineDown(f"{line.path}: not open within {timeout_s:g} s") from error
        self._port.drop_arrived()
        if self._line.mode_e:
            own = meter.mode_e_address
            address = self._line.mode_e_address if own is None else own
            self.signed_on = None
            found = await self._port.sign_on(sign_on(address, fastest=self._line.baudrate))
            self.signed_on = found
            log.debug("%s: signed on to %s %s", meter.id, found.manufacturer, found.text)
        return _Lease(self._port)

    @property
    def is_open(self) -> bool:
        """Whether the port is there, whoever answers on it."""
        return self._port is not None and not self._port.lost

    async def aclose(self) -> None:
        """Close the port."""
        if self._port is not None:
            self._port.close()
