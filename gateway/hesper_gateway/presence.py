"""What the gateway says of itself: its retained status, and the alarms of its own state."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from secrets import token_hex

from hesper_contracts.status import GatewayStatus, Presence

from hesper_gateway import journal
from hesper_gateway.alarms import Alarms
from hesper_gateway.database import Database
from hesper_gateway.errors import Hop
from hesper_gateway.line_costs import LineCosts
from hesper_gateway.lines.modem import ModemPort
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import Outbox
from hesper_gateway.push import PushPort
from hesper_gateway.timeproof import TimeProof
from hesper_gateway.uplink import Uplink

WATCH_EVERY_S = 10.0


def installed_version() -> str:
    """Returns the distribution's version; empty when it is not installed."""
    try:
        return version("hesper")
    except PackageNotFoundError:
        return ""


@dataclass(slots=True)
class Self:
    """Everything that the status tells; ``boot_id`` is random per start of the agent."""

    gateway: str
    database: Database
    outbox: Outbox
    time_proof: TimeProof
    meters: Mapping[str, MeterState]
    modems: Collection[ModemPort]
    costs: LineCosts
    failures: Counter[Hop]
    certificate_expires_at: Callable[[], datetime] | None = None
    push_ports: Collection[PushPort] = ()
    boot_id: str = field(default_factory=lambda: token_hex(8))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def status(self, state: Presence) -> GatewayStatus:
        """Returns the present status; all in memory but a few small reads."""
        return GatewayStatus(
            gateway=self.gateway,
            boot_id=self.boot_id,
            state=state,
            sent_at=datetime.now(UTC),
            started_at=self.started_at,
            version=installed_version(),
            backlog_batches=self.outbox.backlog_batches,
            oldest_unreceipted_at=self.outbox.oldest_unreceipted_at(),
            meters_total=len(self.meters),
            meters_reachable=sum(1 for meter in self.meters.values() if meter.reachable),
            command_counter=journal.highest_counter(self.database),
            clock_offset_ms=self.time_proof.offset_ms(),
            outbox_percent=self.outbox.percent,
            modems=tuple(modem.status() for modem in self.modems),
            line_use=self.costs.today(),
            certificate_expires_at=(
                self.certificate_expires_at() if self.certificate_expires_at else None
            ),
            failures={str(hop): count for hop, count in sorted(self.failures.items())},
            storage_full=self.database.ballast.is_given_up,
            storage_failing=bool(self.database.failing),
            pushes_dropped=sum(port.dropped.total() for port in self.push_ports),
        )


@dataclass(slots=True)
class Watch:
    """Raises the alarms of outbox, disk, and what came down forged or was refused above."""

    outbox: Outbox
    database: Database
    uplink: Uplink
    alarms: Alarms
    _seen: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Looks now and every ten seconds, for ever."""
        while True:
            self.look()
            await asyncio.sleep(WATCH_EVERY_S)

    def look(self) -> None:
        """Raises what there is to raise."""
        if self.outbox.alarming:
            text = f"the outbox is at {self.outbox.percent} % of its quota"
            self.alarms.tell("gateway.outbox_filling", text)
        if self.database.ballast.is_given_up:
            self.alarms.tell("gateway.storage_full", "the disk is full", "critical")
        if count := self._more("forged", self.uplink.dropped["Forged"]):
            text = f"{count} messages came down with signatures that do not hold"
            self.alarms.tell("gateway.forged_message", text, "critical")
        if count := self._more("rejected", self.outbox.rejected_batches):
            text = f"the cloud refused {count} batches for good; they are set aside"
            self.alarms.tell("gateway.batch_rejected", text, "critical")

    def _more(self, what: str, count: int) -> int:
        before, self._seen[what] = self._seen[what], count
        return count - before
