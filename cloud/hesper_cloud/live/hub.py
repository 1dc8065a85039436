"""The hub: whoever knows of something publishes it, and those who are in its rooms hear of it.

Theory of operation. `publish` may be called from any thread; it never waits. Each listener has a
`Mailbox` in which every thing (a meter's readings, one alert, one command) has one place: what is
new of it takes the place of what was not fetched yet. So a slow reader hears the newest of each
thing and never fills memory; where there are more things than places, the oldest goes and is
counted, and the reader is told how many it missed.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hesper_cloud.live.places import Kind, Place, Room

MOST_WAITING = 2_000
MOST_ROOMS = 1_000


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened, as listeners get it."""

    kind: Kind
    place: Place
    document: dict[str, Any]


class TooManyRooms(ValueError):
    """A listener is in as many rooms as one may be in."""


class Mailbox:
    """What one listener has not fetched yet; `put` from any thread, `fetch` from its own loop."""

    def __init__(self, areas: tuple[str, ...] | None = None, most: int = MOST_WAITING) -> None:
        """Makes an empty one for a listener that sees these areas; None for all of them."""
        self.rooms: frozenset[Room] = frozenset()
        self.areas = areas
        self._most = most
        self._waiting: OrderedDict[tuple[Kind, str], Happening] = OrderedDict()
        self._missed = 0
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()

    def put(self, key: tuple[Kind, str], happening: Happening) -> None:
        """Takes something in, in the place of what it is newer than."""
        if self.areas is not None and happening.place.area not in self.areas:
            return
        with self._lock:
            first = not self._waiting
            self._waiting[key] = happening
            if len(self._waiting) > self._most:
                self._waiting.popitem(last=False)
                self._missed += 1
        if first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    def skip(self, count: int) -> None:
        """Counts what nobody put in because there is too much of it."""
        with self._lock:
            self._missed += count

    async def fetch(self) -> tuple[list[Happening], int]:
        """Waits for something; returns all that waits, and how much was missed before it."""
        await self._arrived.wait()
        with self._lock:
            self._arrived.clear()
            found, missed = list(self._waiting.values()), self._missed
            self._waiting.clear()
            self._missed = 0
        return found, missed


class Hub:
    """Knows who is in which room."""

    def __init__(self) -> None:
        self._members: dict[Room, set[Mailbox]] = {}
        self._lock = threading.Lock()

    @property
    def is_heard(self) -> bool:
        """Whether anybody is in any room; what nobody hears need not be worked out."""
        return bool(self._members)

    def rooms(self) -> frozenset[Room]:
        """Returns the rooms in which somebody is."""
        with self._lock:
            return frozenset(self._members)

    def publish(self, place: Place, kind: Kind, document: dict[str, Any], key: str = "") -> None:
        """Tells everybody in the rooms of a place.

        Args:
            place: Where it happened; people who see some areas hear of what is in them alone.
            kind: What kind of thing it is.
            document: What listeners are told, as JSON takes it.
            key: Names the thing of which only the newest counts; without one, the meter.
        """
        if not self._members:
            return
        happening = Happening(kind, place, document)
        name = (kind, key or place.meter or place.gateway or "")
        with self._lock:
            listeners = set[Mailbox]().union(*(self._members.get(r, ()) for r in place.rooms()))
        for mailbox in listeners:
            mailbox.put(name, happening)

    def skip(self, count: int) -> None:
        """Tells all who are in a room of more than one meter that they missed something."""
        if not count:
            return
        with self._lock:
            wide = {
                mailbox
                for room, members in self._members.items()
                if room.kind != "meter"
                for mailbox in members
            }
        for mailbox in wide:
            mailbox.skip(count)

    def join(self, mailbox: Mailbox, room: Room) -> None:
        """Brings a listener into a room.

        Raises:
            TooManyRooms: it has to leave another one first.
        """
        with self._lock:
            if room not in mailbox.rooms and len(mailbox.rooms) >= MOST_ROOMS:
                raise TooManyRooms(f"one connection may be in {MOST_ROOMS} rooms")
            mailbox.rooms |= {room}
            self._members.setdefault(room, set()).add(mailbox)

    def leave(self, mailbox: Mailbox, rooms: Iterable[Room]) -> None:
        """Takes a listener out of rooms; of those it is not in nothing is said."""
        with self._lock:
            for room in rooms:
                members = self._members.get(room, set())
                members.discard(mailbox)
                if not members:
                    self._members.pop(room, None)
            mailbox.rooms -= frozenset(rooms)
