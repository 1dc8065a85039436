"""What reading each meter costs, by the prices of gateway.toml, and its report once a day.

Money is counted in millionths of the one currency that the prices are given in. What is counted
are octets of the link, seconds of calls, and messages; an operator also bills the headers of IP
and TCP, and mostly begun minutes, so that its bill is higher.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from hesper_contracts.events import Event
from hesper_contracts.status import LineUse

from hesper_gateway.config import CsdLine, DialInLine, GatewayConfig, MeterConfig, TcpLine, UdpLine
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import DialLimit
from hesper_gateway.lines.dial_limits import DAY_S
from hesper_gateway.lines.ledger import Ledger, Use
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions.clock import as_utc

log = logging.getLogger(__name__)

LOOK_EVERY_S = 600.0
MOST_DAYS = 31
"""Reported at once by a gateway that was off for long."""
_REPORTED = "line-use-reported"
_MICROS = 1_000_000
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Prices:
    """What one meter's line costs."""

    call_minute: Decimal = Decimal(0)
    message: Decimal = Decimal(0)
    megabyte: Decimal = Decimal(0)

    @property
    def free(self) -> bool:
        """Whether nothing costs anything, as on a bus."""
        return not (self.call_minute or self.message or self.megabyte)

    def micros(self, use: Use) -> int:
        """Return the cost of a use in millionths; a megabyte is a million octets."""
        octets = use.octets_sent + use.octets_received
        return int(
            self.call_minute * use.call_s * _MICROS / _MINUTE_S
            + self.message * use.messages * _MICROS
            + self.megabyte * octets
        )


def prices_of(config: GatewayConfig, meter: MeterConfig) -> Prices:
    """Return the prices that hold for a meter, from its line and the modem of that line."""
    modems = {modem.name: modem for modem in config.modems}
    match config.line(meter.line):
        case CsdLine(modem=name):
            return Prices(call_minute=modems[name].call_minute_price)
        case DialInLine(wake_modem=name, megabyte_price=megabyte):
            message = Decimal(0) if name is None else modems[name].message_price
            return Prices(message=message, megabyte=megabyte)
        case TcpLine(megabyte_price=megabyte) | UdpLine(megabyte_price=megabyte):
            return Prices(megabyte=megabyte)
        case _:
            return Prices()


class LineCosts:
    """Sums up what the meters have used.

    Args:
        prices: By meter id.
        ledger: Where it is counted.
        outbox: Takes the daily reports.
        now: Epoch seconds, UTC.
    """

    def __init__(
        self,
        prices: Mapping[str, Prices],
        ledger: Ledger,
        outbox: Outbox,
        now: Callable[[], float],
    ) -> None:
        self._prices = prices
        self._ledger = ledger
        self._outbox = outbox
        self._now = now

    def today(self) -> LineUse:
        """Return what all meters together have used since midnight UTC."""
        used = self._ledger.between(self._day(), None)
        return LineUse(
            octets_sent=sum(use.octets_sent for use in used.values()),
            octets_received=sum(use.octets_received for use in used.values()),
            call_s=sum(use.call_s for use in used.values()),
            calls=sum(use.calls for use in used.values()),
            messages=sum(use.messages for use in used.values()),
            cost_micros=sum(self._of(meter).micros(use) for meter, use in used.items()),
        )

    async def run(self) -> None:
        """Report each day once it is over, for ever."""
        while True:
            try:
                await self.report()
            except (StorageFull, DialLimit) as full:
                log.warning("the day's use of lines is reported later: %s", full)
            await asyncio.sleep(LOOK_EVERY_S)

    async def report(self) -> None:
        """Report the days that are over and were not reported: what cost something, by meter.

        Where the last report is of a day to come, the clock was ahead then: nobody knows what was
        reported, so that the latest days are told again, under the ids that they had.
        """
        yesterday = self._day() - 1
        before = int(self._ledger.noted(_REPORTED) or yesterday - 1)
        if before > yesterday + 1:
            before = yesterday - MOST_DAYS
        if before >= yesterday:
            return
        await self._ledger.write()
        events = [
            self._event(meter, day, use)
            for day in range(max(before + 1, yesterday - MOST_DAYS), yesterday + 1)
            for meter, use in self._ledger.between(day, day).items()
            if not self._of(meter).free
        ]
        if events:
            await self._outbox.append_events(events)
        await self._ledger.note(_REPORTED, str(yesterday))

    def _event(self, meter: str, day: int, use: Use) -> Event:
        cost = self._of(meter).micros(use)
        return Event(
            id=f"{meter}/{day}/meter.line_use",
            code="meter.line_use",
            severity="info",
            occurred_at=as_utc((day + 1) * DAY_S),
            meter=meter,
            text=f"{use.octets_sent + use.octets_received} octets, {use.calls} calls, "
            f"{use.messages} messages in a day",
            attributes={
                "octets_sent": use.octets_sent,
                "octets_received": use.octets_received,
                "call_s": use.call_s,
                "calls": use.calls,
                "messages": use.messages,
                "cost_micros": cost,
            },
        )

    def _of(self, meter: str) -> Prices:
        return self._prices.get(meter, Prices())

    def _day(self) -> int:
        return int(self._now()) // DAY_S
