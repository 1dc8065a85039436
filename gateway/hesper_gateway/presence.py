"""What the gateway says of itself: its retained status, and the alarms of its own state."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from secrets import token_hex

from hesper_contracts.status import GatewayStatus, Presence

from hesper_gateway import journal
from hesper_gateway.alarms import Alarms
from hesper_gateway.database import Database
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import Outbox
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
    boot_id: str = field(default_factory=lambda: token_hex(8))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def status(self, state: Presence) -> GatewayStatus:
        """Returns the present status; all in memory but two indexed reads."""
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
        )


async def watch(outbox: Outbox, database: Database, uplink: Uplink, alarms: Alarms) -> None:
    """Raises the alarms of outbox, disk and what came down forged; runs for ever."""
    forged_before = 0
    while True:
        if outbox.alarming:
            alarms.tell("gateway.outbox_filling", f"outbox at {outbox.percent} % of its quota")
        if not database.ballast.present:
            alarms.tell("gateway.storage_full", "the disk is full, the ballast is gone", "critical")
        forged = uplink.dropped["Forged"]
        if forged > forged_before:
            alarms.tell(
                "gateway.forged_message",
                f"{forged - forged_before} messages with signatures that do not hold",
                "critical",
            )
        forged_before = forged
        await asyncio.sleep(WATCH_EVERY_S)
