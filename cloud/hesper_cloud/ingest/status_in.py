"""Retained gateway status becomes the row of the gateway.

A last will speaks for the boot that left it. When a gateway has started again in the meantime, the
will of its former connection may still arrive; it carries an older boot and is passed over.

What the broker has kept says how a gateway was, and is no sign of life: after a crash of the broker
it still says "online" of one that broke down meanwhile, since no last will outlives that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from hesper_contracts import status
from hesper_contracts.frame import Refused
from hesper_contracts.status import GatewayStatus, ModemStatus
from hesper_contracts.topics import gateway_id
from sqlalchemy import Engine

from hesper_cloud.assets.arrivals import gateway_heard
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Gateway
from hesper_cloud.ingest.message import Message

_MAX_COUNT = 2**63 - 1
_MOST_HOPS = 32
_MOST_MS = 2**31 - 1


class StatusIn:
    """Takes status messages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, message: Message) -> None:
        """Brings one gateway's row up to date.

        Raises:
            Refused: no status, or one that names another gateway.
        """
        if not message.payload:  # a retained status that was cleared
            return
        found = status.gateway_from_payload(message.payload)
        if gateway_id(found.gateway) != message.gateway:
            raise Refused(f"status of {found.gateway!r} on the topic of {message.gateway!r}")
        counts = (
            found.backlog_batches,
            found.meters_total,
            found.meters_reachable,
            found.command_counter,
            found.outbox_percent,
            abs(found.clock_offset_ms or 0),
        )
        if not all(0 <= count <= _MAX_COUNT for count in counts):
            raise Refused("a count that is none")
        with writing(self._engine) as session:
            now = datetime.now(UTC)
            heard_at = min(found.sent_at, now) if message.retained else now
            row = session.get(Gateway, message.gateway)
            if row is None:
                row = Gateway(id=message.gateway, state="unknown", first_seen_at=now, attributes={})
                session.add(row)
            if message.retained and _is_known(row, found, heard_at):
                return
            if not _is_outlived(row, found):
                _update(row, found, heard_at)
                if found.state == "online":
                    gateway_heard(session, row, now)


def _is_outlived(row: Gateway, found: GatewayStatus) -> bool:
    other_boot = row.boot_id is not None and row.boot_id != found.boot_id
    return (
        other_boot
        and found.state == "offline"
        and row.started_at is not None
        and found.started_at < row.started_at
    )


def _is_known(row: Gateway, found: GatewayStatus, heard_at: datetime) -> bool:
    """Says whether a gateway was heard since it said that it is online."""
    seen_at = row.last_seen_at
    return found.state == "online" and seen_at is not None and heard_at <= seen_at


def _update(row: Gateway, found: GatewayStatus, heard_at: datetime) -> None:
    row.state = found.state
    row.boot_id = found.boot_id
    row.started_at = found.started_at
    if found.state == "offline":
        return
    row.version = found.version
    row.last_seen_at = heard_at
    row.backlog = found.backlog_batches
    row.oldest_unreceipted_at = found.oldest_unreceipted_at
    row.meters_total, row.meters_reachable = found.meters_total, found.meters_reachable
    row.command_counter = max(row.command_counter or 0, found.command_counter)
    row.clock_offset_ms = _within_reach(found.clock_offset_ms)
    row.outbox_percent = found.outbox_percent
    expires_at = found.certificate_expires_at
    row.attributes = {
        **(row.attributes or {}),
        "failures": _bounded(found.failures),
        "signal_dbm": _best_signal(found.modems),
        "certificate_expires_at": expires_at.isoformat() if expires_at else None,
        "storage_full": found.storage_full,
        "storage_failing": found.storage_failing,
    }


def _within_reach(offset_ms: int | None) -> int | None:
    """Returns how far a clock is off, as far as the column reaches: 24 days."""
    return None if offset_ms is None else max(-_MOST_MS, min(offset_ms, _MOST_MS))


def _best_signal(modems: Sequence[ModemStatus]) -> int | None:
    """Returns the strongest signal of a gateway's modems, dBm; None where none has told one."""
    return max((each.signal_dbm for each in modems if each.signal_dbm is not None), default=None)


def _bounded(failures: dict[str, int]) -> dict[str, int]:
    """Returns failed attempts by hop; a gateway has no more hops than this."""
    return dict(sorted(failures.items())[:_MOST_HOPS])
