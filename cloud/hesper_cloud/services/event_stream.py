"""New events, for those who look at them: told within hundredths of a second of their commit.

Theory of operation. While nobody follows, nothing is done. Else the database is asked every
`_LOOK_S` whether anybody committed, which takes microseconds (`Watch`; one that cannot tell is
looked into every `_BLIND_LOOK_S`), and only then for rows. Ingest in this process rings as soon as
it has committed some, and nobody waits for the next time. One look makes one frame, encoded once
for all who see the same areas. Rows are found by when they were stored; once a second the look goes
back a little, for those of a writer that was slow to commit. Each follower takes the frames since
its last; one that is further behind than frames are kept is told that it missed some, and has to
read the list again. The first frame of all says that from now on nothing is left out.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Event
from hesper_cloud.db.watch import Watch
from hesper_cloud.events.catalogue import group_of
from hesper_cloud.services.scope import gateways_of, seen_meters
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.services.whereabouts import Whereabouts

_log = logging.getLogger(__name__)
_LOOK_S = 0.01
_BLIND_LOOK_S = 0.1
_BACK = timedelta(seconds=3)
_BACK_EVERY_S = 1.0
_MOST_ROWS = 1000
KEPT_FRAMES = 50
_COLUMNS = (
    Event.id,
    Event.meter,
    Event.gateway,
    Event.code,
    Event.severity,
    Event.occurred_at,
    Event.stored_at,
    Event.text,
)
Row = dict[str, Any]
Areas = tuple[str, ...] | None


def _encoded(rows: list[Row], told_at: datetime, *, missed: bool) -> bytes:
    frame = {"told_at": told_at, "events": rows, "missed": missed}
    return orjson.dumps(frame, option=orjson.OPT_UTC_Z)


class _Frame:
    """What one look found; encoded for whoever sees the same areas when the first of them asks."""

    def __init__(self, rows: list[Row], told_at: datetime, *, missed: bool) -> None:
        self._rows = rows
        self._told_at = told_at
        self._missed = missed
        self._encoded: dict[Areas, bytes] = {None: _encoded(rows, told_at, missed=missed)}

    async def as_seen(self, sources: Sources, actor: Actor) -> bytes:
        """Returns it with what is in the actor's areas alone, where it has some."""
        known = self._encoded.get(actor.areas)
        if known is None:
            rows = await asyncio.to_thread(self._narrowed, sources, actor)
            known = self._encoded[actor.areas] = _encoded(rows, self._told_at, missed=self._missed)
        return known

    def _narrowed(self, sources: Sources, actor: Actor) -> list[Row]:
        named = (row["meter"] for row in self._rows if row["meter"] is not None)
        meters = seen_meters(sources.registry, actor, named)
        gateways = gateways_of(sources.registry, actor) or set()
        return [
            row
            for row in self._rows
            if (row["gateway"] in gateways if row["meter"] is None else row["meter"] in meters)
        ]


class EventStream:
    """Makes frames while `run` runs and somebody follows; `follow` hands them out."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._places = Whereabouts(sources.registry)
        self._frames: deque[_Frame] = deque(maxlen=KEPT_FRAMES)
        self._made = 0
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._rung = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._followers = 0
        self._newest: datetime | None = None
        self._told: dict[str, datetime] = {}
        self._back_due = 0.0

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows."""
        return self._followers > 0

    async def follow(self, actor: Actor) -> AsyncGenerator[bytes, None]:
        """Yields frames of new events as JSON octets; the first is empty."""
        require(actor, Permission.READ)
        async with self._turn:
            if not self.is_followed:
                await asyncio.to_thread(self._take_note)
            self._followers += 1
        taken = self._made
        self._wanted.set()
        try:
            yield _encoded([], self._sources.clock(), missed=False)
            while True:
                while taken == self._made:
                    await self._arrived.wait()
                behind = self._made - taken
                frames = list(self._frames)[-behind:]
                taken = self._made
                if behind > len(frames):
                    yield _encoded([], self._sources.clock(), missed=True)
                for frame in frames:
                    yield await frame.as_seen(self._sources, actor)
        finally:
            self._followers -= 1

    async def run(self) -> None:
        """Looks until cancelled."""
        watch = Watch(self._sources.settings.database.url)
        pause_s = _LOOK_S if watch.tells else _BLIND_LOOK_S
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                await self._wanted.wait()
                self._rung.clear()
                if not self.is_followed:
                    self._wanted.clear()
                elif watch.changed() or time.monotonic() >= self._back_due:
                    await self.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._rung.wait()
        finally:
            self._loop = None
            watch.close()

    def ring(self) -> None:
        """Has it look at once, because events were just committed; from any thread."""
        loop = self._loop
        if loop is not None and self.is_followed:
            loop.call_soon_threadsafe(self._rung.set)

    async def look(self) -> None:
        """Makes a frame of what is new, if anything is."""
        try:
            async with self._turn:
                rows = await asyncio.to_thread(self._fresh)
        except SQLAlchemyError as error:
            _log.warning("new events are not told now: %s", error)
            return
        if rows:
            missed = len(rows) == _MOST_ROWS
            self._frames.append(_Frame(rows, self._sources.clock(), missed=missed))
            self._made += 1
            arrived, self._arrived = self._arrived, asyncio.Event()
            arrived.set()

    def _take_note(self) -> None:
        """Takes what is stored now as told, and as long ago as a look goes back."""
        with reading(self._sources.registry) as session:
            self._newest = session.scalar(select(func.max(Event.stored_at)))
        self._told.clear()
        self._rows_since(self._since(back=True))

    def _fresh(self) -> list[Row]:
        """Returns events that were not told yet, newest first."""
        back = time.monotonic() >= self._back_due
        since = self._since(back=back)
        if back:
            self._back_due = time.monotonic() + _BACK_EVERY_S
            if since is not None:
                self._told = {name: at for name, at in self._told.items() if at >= since}
        return self._rows_since(since)

    def _since(self, *, back: bool) -> datetime | None:
        """Returns where a look begins; a clock that was set back takes it along."""
        if self._newest is None:
            return None
        self._newest = min(self._newest, self._sources.clock())
        return self._newest - _BACK if back else self._newest

    def _rows_since(self, since: datetime | None) -> list[Row]:
        query = select(*_COLUMNS).order_by(Event.stored_at.desc()).limit(_MOST_ROWS)
        if since is not None:
            query = query.where(Event.stored_at >= since)
        with reading(self._sources.registry) as session:
            found = [row._asdict() for row in session.execute(query)]
        fresh = [row for row in found if row["id"] not in self._told]
        self._told.update({row["id"]: row["stored_at"] for row in fresh})
        if fresh:
            self._newest = max(fresh[0]["stored_at"], self._newest or fresh[0]["stored_at"])
        places = self._places.of({row["meter"] for row in fresh if row["meter"] is not None})
        for row in fresh:
            row["group"] = group_of(row["code"])
            row["area"] = places[row["meter"]].area if row["meter"] else None
        return fresh
