"""Firmware in words: images, the funnel of a campaign, and its waves."""

from dataclasses import dataclass

from hesper_ui.services import (
    SOAK_S,
    WAVES,
    BatchView,
    CampaignView,
    Funnel,
    ImageRow,
    Invalid,
    WaveView,
)
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import exactly
from hesper_ui.words import later, say

__all__ = ["SOAK_S", "WAVES"]

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


def at_once(total: int) -> int:
    """Returns how many rows of a fleet are under way at once: a tenth, at least one."""
    return max(1, -(-total // 10))


def shares(text: str) -> list[int]:
    """Reads the shares of waves as an operator writes them: ``1, 10``.

    Raises:
        Invalid: they are none.
    """
    found = text.replace("%", " ").replace(",", " ").replace(";", " ").split()
    if not found or not all(each.isdecimal() and len(each) < 4 for each in found):
        raise Invalid(say("The waves are whole percentages of the meters, like 1, 10."))
    return [int(each) for each in found]


def wave_state(batch: BatchView, place: int, wave: WaveView) -> Look:
    """Returns how one wave of a batch stands."""
    if place > batch.wave or batch.approved_at is None:
        return Look("unknown", later("waiting"))
    if wave.finished == wave.rows:
        return Look("warning" if wave.failed else "done", later("over"))
    if batch.state in {"canary", "running"}:
        return Look("working", later("under way"))
    return Look("stopped", later("held"))


def between(batch: BatchView) -> str:
    """Says on what the next wave begins."""
    if batch.soak_s is None:
        return say("a person lets the next begin")
    return say("the next begins by itself after {age}", age=exactly(batch.soak_s))


def is_held_between(batch: BatchView, waves: tuple[WaveView, ...]) -> bool:
    """Says whether a wave is over and a person must let the next begin."""
    if batch.state not in {"paused", "stopped"} or batch.wave + 1 >= len(waves):
        return False
    return waves[batch.wave].finished == waves[batch.wave].rows


def may_activate(campaign: CampaignView) -> bool:
    """Says whether meters have verified the image and no activation is under way."""
    if campaign.batch.kind != "firmware.transfer" or not campaign.funnel.verified:
        return False
    return not any(is_active(batch) for batch in campaign.activations)


def is_active(batch: BatchView) -> bool:
    """Says whether anything of a batch may still happen."""
    return batch.state in _ACTIVE
