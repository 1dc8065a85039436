"""Blocking ports and the driver that runs the stack's exchanges over them, for the command line.

The gateway itself drives the same exchanges from asyncio; here one meter at a time is enough.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import serial
from hesper_dlms.errors import LinkError
from hesper_dlms.exchange import Exchange

Result = TypeVar("Result")
Trace = Callable[[str, bytes], None]
"""Is told each direction (`"->"` to the meter, `"<-"` from it) and the octets."""


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
        except OSError as error:
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


class SerialPort:
    """A serial port, 8N1 (IEC 62056-46) or as `framing` says.

    Args:
        path: Device path.
        baudrate: Speed in baud.
        framing: Data bits, parity and stop bits, as in 8N1 or 7E1.
        silence_s: After this long without an octet, `read` returns empty.
    """

    def __init__(self, path: str, baudrate: int, framing: str, silence_s: float) -> None:
        try:
            self._serial = serial.Serial(
                path,
                baudrate,
                bytesize=int(framing[0]),
                parity=framing[1],
                stopbits=int(framing[2]),
                timeout=silence_s,
            )
        except (OSError, ValueError) as error:
            raise LinkError(f"{path} cannot be opened: {error}") from error

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
