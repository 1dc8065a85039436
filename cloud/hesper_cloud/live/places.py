"""Rooms of the live connection, and where in the fleet something happened."""

from dataclasses import dataclass
from typing import Literal

RoomKind = Literal["fleet", "area", "gateway", "meter"]
Kind = Literal[
    "meter-reading-update", "meter-status-change", "alert-created", "event-logged", "command-state"
]
KINDS: tuple[Kind, ...] = (
    "meter-reading-update",
    "meter-status-change",
    "alert-created",
    "event-logged",
    "command-state",
)
MOST_NAME = 64


@dataclass(frozen=True, slots=True, order=True)
class Room:
    """One room; ``name`` is a meter's or gateway's id or an area's name, empty for the fleet."""

    kind: RoomKind
    name: str = ""


FLEET = Room("fleet")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happened, as far as it is known."""

    meter: str | None = None
    gateway: str | None = None
    area: str | None = None

    def rooms(self) -> tuple[Room, ...]:
        """Returns the rooms that hear of what happens here."""
        found = [FLEET]
        if self.meter is not None:
            found.append(Room("meter", self.meter))
        if self.gateway is not None:
            found.append(Room("gateway", self.gateway))
        if self.area is not None:
            found.append(Room("area", self.area))
        return tuple(found)
