"""What a person asks for of an image: which, what it is called, and when it may be done.

The rest comes from the manifest when the command is signed. The version is there for people to see
and approve; a command whose version is not the manifest's is not signed.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from hesper_contracts import jsonbody
from hesper_contracts.frame import Refused
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.manifest import ImageHash, Text

_ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d\Z")]
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time of day in which rows leave, by the clocks of a zone; it may span midnight."""

    opens: _ClockTime
    closes: _ClockTime
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.opens == self.closes:
            raise ValueError("a window opens and closes at different times")
        try:
            ZoneInfo(self.zone if _ZONE.fullmatch(self.zone) else "")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {self.zone!r}") from None

    def open_until(self, now: datetime) -> datetime | None:
        """Return when it closes, UTC; None while it is closed."""
        local = now.astimezone(ZoneInfo(self.zone))
        for day in (local.date() - timedelta(days=1), local.date()):
            opens = datetime.combine(day, time.fromisoformat(self.opens), local.tzinfo)
            over_midnight = timedelta(days=self.closes < self.opens)
            ends = time.fromisoformat(self.closes)
            closes = datetime.combine(day + over_midnight, ends, local.tzinfo)
            if opens.astimezone(UTC) <= now < closes.astimezone(UTC):
                return closes.astimezone(UTC)
        return None


class ImageWish(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One image, for a meter or for a gateway.

    Attributes:
        image: Its SHA-256.
        version: What its manifest calls it.
        at: Of an activation: when to do it; None for at once.
        window: When commands of a campaign leave; None for always.
    """

    image: ImageHash
    version: Text
    at: UtcTime | None = None
    window: Window | None = None


def wish_of(parameters: Mapping[str, Any]) -> ImageWish:
    """Return the wish that a command or a batch keeps.

    Raises:
        Refused: it is none.
    """
    return jsonbody.decode(jsonbody.encode(parameters), ImageWish)


def open_until(parameters: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return until when commands of a batch may leave; None while they may not.

    A batch that names no window, of whatever kind, is always open.
    """
    if "window" not in parameters:
        return datetime.max.replace(tzinfo=UTC)
    try:
        wish = wish_of(parameters)
    except Refused:
        return None
    return wish.window.open_until(now) if wish.window else datetime.max.replace(tzinfo=UTC)
