"""Blocking ports and the driver that runs the stack's exchanges over them, for the command line.

The gateway itself drives the same exchanges from asyncio; here one meter at a time is enough.
"""

from __future__ import annotations

import socket
import termios
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import serial
from hesper_dlms.errors import LinkError
from hesper_dlms.exchange import Exchange
from hesper_dlms.mode_e import Identification, LineSettings, SignOn, Step, with_even_parity
from hesper_dlms.wrapper import datagrams

Result = TypeVar("Result")
Trace = Callable[[str, bytes], None]
"""Is told each direction (`"->"` to the meter, `"<-"` from it) and the octets."""
_SERIAL_ERRORS = (OSError, ValueError, termios.error)
"""What pyserial lets through: the last is no OSError."""


class Port(Protocol):
    """An open way to one meter."""

    def write(self, octets: bytes) -> None:
        """Send all octets."""
        ...

    def read(self) -> bytes:
        """Return what arrived; empty after the port's time-out of silence."""
        ...

    def close(self) -> None:
        """Give the way back."""
        ...


class TcpPort:
    """A TCP connection.

    Args:
        host: Name or address.
        port: TCP port.
        silence_s: After this long without an octet, `read` returns empty.
    """

    def __init__(self, host: str, port: int, silence_s: float) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=silence_s)
        except (OSError, UnicodeError) as error:  # the latter of a name that is none
            raise LinkError(f"{host}:{port} cannot be reached: {error}") from error

    def write(self, octets: bytes) -> None:
        """Send all octets."""
        try:
            self._socket.sendall(octets)
        except OSError as error:
            raise LinkError(f"the connection broke: {error}") from error

    def read(self) -> bytes:
        """Return what arrived; empty after silence."""
        try:
            octets = self._socket.recv(65536)
        except TimeoutError:
            return b""
        except OSError as error:
            raise LinkError(f"the connection broke: {error}") from error
        if not octets:
            raise LinkError("the meter closed the connection")
        return octets

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class UdpPort:
    """One meter's UDP port; every `read` returns one datagram.

    Args:
        host: Name or address.
        port: UDP port.
        silence_s: After this long without a datagram, `read` returns empty.
    """

    def __init__(self, host: str, port: int, silence_s: float) -> None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_DGRAM
            )[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.settimeout(silence_s)
            self._socket.connect(address)
        except (OSError, UnicodeError) as error:  # the latter of a name that is none
            raise LinkError(f"{host}:{port} cannot be reached: {error}") from error

    def write(self, octets: bytes) -> None:
        """Send each wrapped APDU in a datagram of its own."""
        try:
            for datagram in datagrams(octets):
                self._socket.send(datagram)
        except OSError as error:
            raise LinkError(f"the datagram cannot be sent: {error}") from error

    def read(self) -> bytes:
        """Return the next datagram; empty after silence."""
        try:
            return self._socket.recv(65536)
        except TimeoutError:
            return b""
        except OSError as error:
            raise LinkError(f"nobody listens on that UDP port: {error}") from error

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SerialPort:
    """A serial port, 8N1 (IEC 62056-46) or as `framing` says.

    Args:
        path: Device path.
        baudrate: Speed in baud.
        framing: Data bits, parity and stop bits, as in 8N1 or 7E1.
        silence_s: After this long without an octet, `read` returns empty.
    """

    def __init__(self, path: str, baudrate: int, framing: str, silence_s: float) -> None:
        self._silence_s = silence_s
        self._parity_by_hand = False
        self.line = LineSettings(baudrate, framing)
        try:
            self._serial = serial.Serial(
                path,
                baudrate,
                bytesize=int(framing[0]),
                parity=framing[1],
                stopbits=int(framing[2]),
                timeout=silence_s,
            )
        except _SERIAL_ERRORS as error:
            raise LinkError(f"{path} cannot be opened: {error}") from error

    def sign_on(self, steps: SignOn, trace: Trace | None = None) -> Identification:
        """Go through a sign-on (IEC 62056-21 mode E); afterwards the line is set for HDLC.

        Raises:
            LinkError: The port broke, nobody answered, or the meter offers no HDLC.
        """
        try:
            step = next(steps)
            while True:
                step = steps.send(self._carry_out(step, trace))
        except StopIteration as end:
            self._serial.timeout = self._silence_s
            meter: Identification = end.value
            return meter
        except _SERIAL_ERRORS as error:
            raise LinkError(f"the serial port failed: {error}") from error

    def _carry_out(self, step: Step, trace: Trace | None) -> bytes:
        if step.line != self.line:
            self._set(step.line)
        if step.octets:
            if trace:
                trace("->", step.octets)
            parity = self._parity_by_hand
            self._serial.write(with_even_parity(step.octets) if parity else step.octets)
            self._serial.flush()
        if not step.timeout_s:
            return b""
        self._serial.timeout = step.timeout_s
        arrived = self.read()
        if trace and arrived:
            trace("<-", arrived)
        return arrived

    def _set(self, line: LineSettings) -> None:
        self.line = line
        self._parity_by_hand = False
        try:
            self._apply(line)
        except termios.error:  # a port without 7E1, such as a pseudo-terminal
            self._apply(line.with_eight_bits)
            self._parity_by_hand = True
        self._serial.reset_input_buffer()

    def _apply(self, line: LineSettings) -> None:
        self._serial.apply_settings(
            {
                **self._serial.get_settings(),
                "baudrate": line.baudrate,
                "bytesize": int(line.framing[0]),
                "parity": line.framing[1],
                "stopbits": int(line.framing[2]),
            }
        )

    def write(self, octets: bytes) -> None:
        """Send all octets."""
        try:
            self._serial.write(octets)
        except OSError as error:
            raise LinkError(f"the serial port failed: {error}") from error

    def read(self) -> bytes:
        """Return what arrived; empty after silence."""
        try:
            first: bytes = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except OSError as error:
            raise LinkError(f"the serial port failed: {error}") from error

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


def drive(
    exchange: Exchange[Result], port: Port, limit_s: float = 120.0, trace: Trace | None = None
) -> Result:
    """Run one exchange to its end and return its result.

    Raises:
        DlmsError: What the exchange raises.
        LinkError: The port broke, or the whole took longer than `limit_s`.
    """
    deadline = time.monotonic() + limit_s
    try:
        octets = next(exchange)
        while True:
            if octets:
                if trace:
                    trace("->", octets)
                port.write(octets)
            arrived = port.read()
            if trace and arrived:
                trace("<-", arrived)
            if time.monotonic() > deadline:
                raise LinkError(f"the meter talks, but did not finish within {limit_s:g} s")
            octets = exchange.send(arrived)
    except StopIteration as end:
        result: Result = end.value
        return result
