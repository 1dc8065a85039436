"""Meters that are dialled over TCP: one connection for each association."""

import asyncio
import os

from hesper_gateway.config import MeterConfig, TcpLine
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import StreamChannel


class TcpCarrier:
    """Dials one address; meters behind it are told apart by their server address."""

    def __init__(self, line: TcpLine) -> None:
        self._host = line.host
        self._port = line.port

    async def open(self, meter: MeterConfig, timeout_s: float) -> StreamChannel:
        """Return a fresh connection.

        Raises:
            LineDown: nobody listens there, or not in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:  # TimeoutError is one
            why = _why(error, timeout_s)
            raise LineDown(f"{meter.id} at {self._host}:{self._port}: {why}") from error
        return StreamChannel(reader, writer)

    async def aclose(self) -> None:
        """Nothing outlives its association."""


def _why(error: OSError, timeout_s: float) -> str:
    """Return the system's word; asyncio's own says which call failed, and of two addresses both."""
    if error.errno is None:
        late = isinstance(error, TimeoutError)
        return f"no connection within {timeout_s:g} s" if late else str(error)
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
