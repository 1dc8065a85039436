"""What the firmware services return: frozen records, times aware UTC."""

from dataclasses import dataclass
from datetime import datetime


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
