"""A meter on a link: octets arrive, octets leave, unless a fault stands in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from hesper_dlms.server import LogicalServer

from hesper_sim.cosem import CosemMeter
from hesper_sim.district import District
from hesper_sim.faults import SLOW_S, Fault
from hesper_sim.meter import Meter

COUNTERS_RESERVED: Final = 5000

Send = Callable[[bytes], None]


class MeterServer(LogicalServer):
    """A logical device whose invocation counters survive SIGKILL.

    Counters are reserved ahead in the journal; what was reserved and not used is skipped after a
    restart, because a nonce used twice would give the key away.
    """

    __slots__ = ("_district", "meter")

    def __init__(self, district: District, meter: Meter) -> None:
        objects = CosemMeter(district, meter)
        super().__init__(objects, sent_counter=meter.counter_reserved)
        objects.attach(self)
        self._district = district
        self.meter = meter

    def next_counter(self) -> int:
        """Return an invocation counter that was never used before, in no life of the process."""
        counter = super().next_counter()
        if counter >= self.meter.counter_reserved:
            self._district.reserve_counters(self.meter, counter + COUNTERS_RESERVED)
        return counter


class Connection(Protocol):
    """What answers requests; see `hesper_dlms.server`."""

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send."""
        ...


class MeterEnd:
    """The meter's end of one link.

    Args:
        meter: Whose faults count.
        connection: What answers.
        send: Takes the octets to send.
    """

    __slots__ = ("_connection", "_meter", "_send")

    def __init__(self, meter: Meter, connection: Connection, send: Send) -> None:
        self._meter = meter
        self._connection = connection
        self._send = send

    def receive(self, octets: bytes) -> None:
        """Take octets in and send what answers them; LinkError when the link is beyond repair."""
        faults = self._meter.faults
        if Fault.SILENT in faults:
            return
        answer = self._connection.receive(octets)
        if not answer:
            return
        if Fault.SLOW in faults:
            asyncio.get_running_loop().call_later(SLOW_S, self._send, answer)
        else:
            self._send(answer)
