"""What the firmware services return: frozen records, times aware UTC."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hesper_cloud.services.batch_records import BatchView, WaveView
from hesper_cloud.services.records import MeterQuery

WAVES = (1, 10)
"""Percent of a campaign's rows in its first waves, unless it says otherwise."""
SOAK_S = 3_600
"""From the end of a wave to the next, unless a campaign says otherwise."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image; ``is_whole`` once its octets have come."""

    image_hash: str
    type: str
    hardware: str
    version: str
    minimum_version: str | None
    size: int
    not_after: datetime
    is_whole: bool
    is_expired: bool
    changelog: str = ""  # what is new in it, as whoever brought it wrote
    signed_by: tuple[str, ...] = ()  # ids of the release keys whose seals hold


@dataclass(frozen=True, slots=True)
class CampaignOrder:
    """An image for meters or gateways: a list, or all meters that a query finds, in order of id.

    ``parameters`` are those of `hesper_cloud.images.wish.ImageWish`; the terms are a batch's.
    """

    parameters: dict[str, Any]
    reason: str
    names: tuple[str, ...] = ()
    query: MeterQuery | None = None
    terms: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many rows of a campaign have come how far; each step counts those of the next too.

    Attributes:
        targeted: Rows that take part.
        excluded: Rows that do not.
        downloaded: Their gateway has the image.
        verified: The meter has verified it; a gateway's own has been tried.
        activated: The meter says that it has activated it.
        confirmed: The version that was read back is the manifest's.
        failed: Rows that ended otherwise.
    """

    targeted: int = 0
    excluded: int = 0
    downloaded: int = 0
    verified: int = 0
    activated: int = 0
    confirmed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign: the batch that brings the image, those that activate it, and its funnel.

    ``waves`` are those of the batch that brings it; one without any has a canary and the rest.
    """

    batch: BatchView
    activations: tuple[BatchView, ...]
    funnel: Funnel
    waves: tuple[WaveView, ...] = ()
