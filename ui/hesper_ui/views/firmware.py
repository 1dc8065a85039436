"""Firmware in words: images, the funnel of a campaign, and its waves."""

from dataclasses import dataclass

from hesper_ui.services import BatchView, CampaignView, Funnel, ImageRow
from hesper_ui.views.looks import Look
from hesper_ui.words import later

TYPES = {"meter": later("meters"), "gateway": later("gateways")}
STEPS = (
    ("targeted", later("Targeted")),
    ("downloaded", later("Downloaded")),
    ("verified", later("Verified")),
    ("activated", later("Activated")),
    ("confirmed", later("Confirmed")),
)
_ACTIVE = frozenset({"awaiting_approval", "canary", "running", "paused", "stopped", "quarantined"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: its name, how many came so far, and of a hundred targeted."""

    name: str
    count: int
    percent: float


def image_state(row: ImageRow) -> Look:
    """Returns whether an image can be brought."""
    if row.is_expired:
        return Look("stopped", later("out of date"))
    if not row.is_whole:
        return Look("working", later("its octets are missing"))
    return Look("normal", later("signed by two"))


def usable(rows: list[ImageRow]) -> list[ImageRow]:
    """Returns the images that can be brought."""
    return [row for row in rows if row.is_whole and not row.is_expired]


def funnel(counts: Funnel) -> list[Step]:
    """Returns the steps of the funnel."""
    total = counts.targeted or 1
    return [
        Step(name, getattr(counts, step), 100 * getattr(counts, step) / total)
        for step, name in STEPS
    ]


def waves(total: int) -> tuple[int, int]:
    """Returns canary (1 %) and how many at once (10 %) for a fleet, at least one each."""
    return max(1, -(-total // 100)), max(1, -(-total // 10))


def may_activate(campaign: CampaignView) -> bool:
    """Says whether meters have verified the image and no activation is under way."""
    if campaign.batch.kind != "firmware.transfer" or not campaign.funnel.verified:
        return False
    return not any(is_active(batch) for batch in campaign.activations)


def is_active(batch: BatchView) -> bool:
    """Says whether anything of a batch may still happen."""
    return batch.state in _ACTIVE
