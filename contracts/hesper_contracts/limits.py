"""What `limiter.write` is told (IEC 62056-6-2, class 71); what is left out stays as it is."""

from typing import Annotated, Literal

import msgspec

Threshold = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""In the unit and scaler of the register that the limiter watches."""
Duration = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class LimiterActions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the limiter does with the supply above its threshold, and below it again."""

    over: Literal["nothing", "disconnect"]
    under: Literal["nothing", "reconnect"]


class WriteLimiter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds, the seconds after which they count, and what is done then."""

    threshold_normal: Threshold | None = None
    threshold_emergency: Threshold | None = None
    min_over_threshold_s: Duration | None = None
    min_under_threshold_s: Duration | None = None
    actions: LimiterActions | None = None

    def __post_init__(self) -> None:
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise ValueError("nothing to write")
