"""How a gateway's report is put into words."""

from hesper_ui.services import GatewayRow
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MINUS, MISSING, plural
from hesper_ui.words import say

OUTBOX_WARNING = 80
CLOCK_WARNING_MS = 5_000


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
