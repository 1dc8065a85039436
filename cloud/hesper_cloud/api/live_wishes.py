"""What a page of the console says to the live WebSocket: what it shows just now."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hesper_cloud.live.places import MOST_NAME

_MOST_METERS = 20
_LONGEST = 4096
Serial = Annotated[str, StringConstraints(max_length=MOST_NAME)]


class FollowWish(BaseModel):
    """``follow``: the meters whose values are shown, and whether events are."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["follow"]
    events: bool = False
    meters: Annotated[list[Serial], Field(max_length=_MOST_METERS)] = Field(default_factory=list)


def follow_wish(message: str | bytes) -> FollowWish | None:
    """Returns what a message wishes to follow; None for one of another kind, or none at all."""
    if len(message) > _LONGEST:
        return None
    try:
        return FollowWish.model_validate_json(message)
    except ValidationError:
        return None
