"""How a gateway's report is put into words."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hesper_ui.services import GatewayRow, ImageRow
from hesper_ui.views.looks import Look, gateway_state
from hesper_ui.views.wording import MINUS, MISSING, grouped, plural
from hesper_ui.words import later, say

OUTBOX_WARNING = 80
CLOCK_WARNING_MS = 5_000
SIGNAL_WARNING_DBM = -105
CERTIFICATE_WARNING_DAYS = 14


def reached(rows: Sequence[GatewayRow], now: datetime | None = None) -> str:
    """Says how many gateways there are, and how many of them are not there."""
    offline = sum(row.state == "offline" for row in rows)
    silent = sum(row.state not in ("online", "offline") for row in rows)
    stale = sum(row.state == "online" and gateway_state(row, now).mark != "normal" for row in rows)
    parts = [plural(len(rows), "gateway")]
    if offline:
        parts.append(say("{count} offline", count=grouped(offline)))
    if stale:
        parts.append(say("{count} not heard lately", count=grouped(stale)))
    if silent:
        parts.append(say("{count} not heard yet", count=grouped(silent)))
    return ", ".join(parts) if parts[1:] else say("all heard")


def meters(row: GatewayRow) -> str:
    """Says how many of its meters answer."""
    if row.meters_total is None:
        return say("{count} registered", count=row.meters_registered)
    reachable = MISSING if row.meters_reachable is None else str(row.meters_reachable)
    return say("{part} of {whole}", part=reachable, whole=row.meters_total)


def backlog(row: GatewayRow) -> str:
    """Says how many batches wait for a receipt."""
    return MISSING if row.backlog is None else plural(row.backlog, "batch", "batches")


def outbox(row: GatewayRow) -> Look:
    """Says how full the outbox is; a full one stops polling."""
    if row.outbox_percent is None:
        return Look("unknown", MISSING)
    mark = "warning" if row.outbox_percent >= OUTBOX_WARNING else "normal"
    return Look(mark, f"{row.outbox_percent} %")


def clock(row: GatewayRow) -> Look:
    """Says how far its clock is off."""
    offset = row.clock_offset_ms
    if offset is None:
        return Look("unknown", MISSING)
    mark = "warning" if abs(offset) >= CLOCK_WARNING_MS else "normal"
    sign = MINUS if offset < 0 else "+"
    return Look(
        mark,
        f"{sign}{abs(offset)} ms" if abs(offset) < 10_000 else f"{sign}{abs(offset) / 1000:.0f} s",
    )


def signal(row: GatewayRow) -> Look:
    """Says how well its best modem hears the network; a gateway without one has no signal."""
    if row.signal_dbm is None:
        return Look("unknown", MISSING)
    mark = "warning" if row.signal_dbm <= SIGNAL_WARNING_DBM else "normal"
    return Look(mark, say("{value} dBm", value=grouped(row.signal_dbm)))


def certificate(row: GatewayRow, now: datetime | None = None) -> Look:
    """Says how long the certificate is good that it shows the broker; it is renewed long before."""
    if row.certificate_expires_at is None:
        return Look("unknown", MISSING)
    days = (row.certificate_expires_at - (now or datetime.now(UTC))).days
    if days < 0:
        return Look("critical", later("expired"))
    mark = "warning" if days < CERTIFICATE_WARNING_DAYS else "normal"
    return Look(mark, plural(days, "day"))


def programs(images: list[ImageRow]) -> dict[str, str]:
    """Returns the images that gateways can be updated to, by hash, as they are chosen from."""
    return {
        row.image_hash: f"{row.version} · {row.hardware} · {row.image_hash[:12]}"
        for row in images
        if row.type == "gateway"
    }
