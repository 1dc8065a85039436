"""Counts what passes between us and each meter: octets of the link, without those of TCP or IP."""

from hesper_gateway.config import MeterConfig
from hesper_gateway.lines.channel import Carrier, Channel
from hesper_gateway.lines.ledger import Ledger


class MeteredCarrier:
    """Opens another carrier's channels and counts what passes over them."""

    def __init__(self, carrier: Carrier, ledger: Ledger) -> None:
        self._carrier = carrier
        self._ledger = ledger

    async def open(self, meter: MeterConfig, timeout_s: float) -> "_Metered":
        """Return a channel to the meter; raises LineDown."""
        channel = await self._carrier.open(meter, timeout_s)
        return _Metered(channel, self._ledger, meter.id)

    async def aclose(self) -> None:
        """Close whatever is still open."""
        await self._carrier.aclose()


class _Metered:
    def __init__(self, channel: Channel, ledger: Ledger, meter: str) -> None:
        self._channel = channel
        self._ledger = ledger
        self._meter = meter
        self.release = channel.release

    async def read(self, timeout_s: float) -> bytes:
        octets = await self._channel.read(timeout_s)
        self._ledger.of(self._meter).octets_received += len(octets)
        return octets

    async def write(self, octets: bytes, timeout_s: float) -> None:
        await self._channel.write(octets, timeout_s)
        self._ledger.of(self._meter).octets_sent += len(octets)
