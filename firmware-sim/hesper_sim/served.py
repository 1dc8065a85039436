"""A meter on a link: octets arrive, octets leave, unless a fault stands in the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, Protocol

from hesper_dlms.apdu import error
from hesper_dlms.errors import LinkError
from hesper_dlms.server import LogicalServer

from hesper_sim.cosem import PUBLIC_CLIENT, CosemMeter
from hesper_sim.district import District
from hesper_sim.event_codes import EventCode
from hesper_sim.faults import Fault
from hesper_sim.meter import Meter
from hesper_sim.misbehaviour import Misbehaviour, Muted, failed_authentication
from hesper_sim.registers import REGISTER_VALUES

COUNTERS_RESERVED: Final = 5000
MAX_PDU: Final = 0xFFFF
_GET_RESPONSE: Final = 0xC4
_ACTION_REFUSED: Final = (0xC7, 1, 3)

Send = Callable[[bytes], None]


class MeterServer(LogicalServer):
    """A logical device whose invocation counters survive SIGKILL.

    Counters are reserved ahead in the journal; what was reserved and not used is skipped after a
    restart, because a nonce used twice would give the key away.
    """

    __slots__ = ("_district", "_max_pdu", "_misbehaviour", "_set_back", "meter")

    def __init__(self, district: District, meter: Meter) -> None:
        self.meter = meter
        objects = CosemMeter(district, meter)
        super().__init__(objects, sent_counter=meter.counter_reserved, max_pdu=MAX_PDU)
        objects.attach(self)
        self._district = district
        self._misbehaviour: Misbehaviour | None = None
        self._set_back = False

    @property
    def max_pdu(self) -> int:
        """The largest APDU that the meter takes, in octets."""
        return int(self.meter.faults.get(Fault.SHORT_PDU, self._max_pdu))

    @max_pdu.setter
    def max_pdu(self, octets: int) -> None:
        self._max_pdu = octets

    def next_counter(self) -> int:
        """Return an invocation counter that was never used before, in no life of the process."""
        back = self.meter.faults.get(Fault.WRONG_COUNTER)
        if back is None:
            self._set_back = False
        elif not self._set_back:
            self._set_back = True
            self.sent_counter = max(self.sent_counter - int(back), 1)
        counter = super().next_counter()
        if counter >= self.meter.counter_reserved:
            self._district.reserve_counters(self.meter, counter + COUNTERS_RESERVED)
        return counter

    def quick_get(self, client: int, descriptor: bytes) -> bytes | None:
        """Return a register's encoded value, which is what most GETs ask for."""
        register = REGISTER_VALUES.get(descriptor)
        if register is None or client == PUBLIC_CLIENT:
            return None
        return register.octets(self.meter, self._district.now())

    def leaving(self, apdu: bytes) -> bytes:
        """Return what leaves in place of an answer; Muted and LinkError: nothing does."""
        if apdu[0] != _GET_RESPONSE:
            self._watch(apdu)
        faults = self.meter.faults
        if not faults:
            return apdu
        if self._misbehaviour is None:
            self._misbehaviour = Misbehaviour()
        return self._misbehaviour.change(apdu, faults)

    def _watch(self, apdu: bytes) -> None:
        """Count failed authentications; enough of them are an event, and may lock the meter."""
        first = apdu[0]
        if first == error.EXCEPTION_RESPONSE:
            failed = apdu[2] == error.DECIPHERING_ERROR
        elif first == _ACTION_REFUSED[0]:
            objects = self.objects
            acted = isinstance(objects, CosemMeter) and objects.take_acted()
            failed = (first, apdu[1], apdu[3]) == _ACTION_REFUSED and not acted
        else:
            failed = first == 0x61 and failed_authentication(apdu)
        if failed:
            kept = self._district.remembered(self.meter)
            kept.failed_attempts += 1
            if kept.failed_attempts % 3 == 0:
                self._district.log_event([self.meter], EventCode.ASSOCIATION_FAILED)


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

    __slots__ = ("_boot", "_connection", "_meter", "_send")

    def __init__(self, meter: Meter, connection: Connection, send: Send) -> None:
        self._meter = meter
        self._connection = connection
        self._send = send
        self._boot = meter.boots

    def receive(self, octets: bytes) -> None:
        """Take octets in and send what answers them.

        Raises:
            LinkError: The link is beyond repair, or the meter was without power since it began.
        """
        meter = self._meter
        if meter.boots != self._boot:
            raise LinkError("the meter has started anew")
        if not meter.faults:
            answer = self._connection.receive(octets)
            if answer:
                self._send(answer)
            return
        self._receive_faulty(octets)

    def _receive_faulty(self, octets: bytes) -> None:
        faults = self._meter.faults
        if Fault.SILENT in faults or Fault.OUTAGE in faults:
            return
        if Fault.ECHO in faults:
            self._send(octets)
        try:
            answer = self._connection.receive(octets)
        except Muted:
            return
        faults = self._meter.faults
        if not answer or Fault.OUTAGE in faults:
            return
        if Fault.NOISE in faults:
            answer = _noise(self._meter.serial, int(faults[Fault.NOISE]), answer) + answer
        if Fault.SLOW_OCTETS in faults:
            first_s, between_s = faults.get(Fault.SLOW, 0.0), faults[Fault.SLOW_OCTETS] / 1000
            asyncio.get_running_loop().call_later(first_s, self._trickle, answer, between_s)
        elif Fault.SLOW in faults:
            asyncio.get_running_loop().call_later(faults[Fault.SLOW], self._send_if_up, answer)
        else:
            self._send(answer)

    def _trickle(self, left: bytes, between_s: float) -> None:
        # One timer after another: uvloop may fire a timer before what was to be called at once.
        self._send_if_up(left[:1])
        if len(left) > 1:
            asyncio.get_running_loop().call_later(between_s, self._trickle, left[1:], between_s)

    def _send_if_up(self, octets: bytes) -> None:
        if self._meter.boots == self._boot:
            self._send(octets)


def _noise(serial: str, most: int, answer: bytes) -> bytes:
    chance = random.Random(f"{serial}/{answer.hex()}")  # noqa: S311 - noise, no secret
    return chance.randbytes(chance.randint(1, max(most, 1)))
