"""Stored readings as they are: raw integers, for exports and for being checked."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.services.archived import end_of_archive
from hesper_cloud.services.looking import looked_at, looked_at_all
from hesper_cloud.services.scope import check_meter, meters_of
from hesper_cloud.services.sources import Sources, epoch, require
from hesper_cloud.stores.apart import is_apart
from hesper_cloud.stores.port import LATEST, Reading

MAX_ROWS = 10_000


class Readings:
    """Reads the store row by row."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._store = sources.store
        self._registry = sources.registry

    async def page(
        self,
        actor: Actor,
        meter: str,
        profile: str | None,
        start: datetime,
        end: datetime,
        limit: int,
    ) -> tuple[list[Reading], int | None]:
        """Returns readings of one meter, newest first, and where the next page ends, if any.

        The second value, epoch seconds, is the ``end`` of the next page. A page is cut between two
        capture times, so that no row falls between pages.
        """
        require(actor, Permission.READ)
        await check_meter(self._registry, actor, meter)
        looked_at(self._sources, actor, "readings", meter, (epoch(start), epoch(end)))
        limit = min(max(1, limit), MAX_ROWS)
        rows = await asyncio.to_thread(
            self._store.readings, meter, profile, epoch(start), epoch(end), limit
        )
        if len(rows) < limit:
            return rows, None
        oldest = rows[-1].captured_at
        whole = [row for row in rows if row.captured_at > oldest]
        if whole:
            return whole, oldest + 1
        at_once = (oldest, oldest + 1, LATEST)  # more of one instant than a page holds
        return await asyncio.to_thread(self._store.readings, meter, profile, *at_once), oldest

    async def archived_before(self, start: datetime) -> datetime | None:
        """Returns before when readings have left the store, where a range begins before that."""
        return await end_of_archive(self._sources, start)

    def export(
        self, actor: Actor, start: datetime, end: datetime, meter: str | None = None
    ) -> Iterator[Reading]:
        """Yields every reading captured in a range, of one meter or all; blocks, use a thread.

        What is kept apart is none of its meter's readings.
        """
        require(actor, Permission.READ)
        own = meters_of(self._registry, actor)
        seen = None if own is None else frozenset(own)
        span = (epoch(start), epoch(end))
        if meter is None:
            looked_at_all(self._sources, actor, "export", span)
        else:
            looked_at(self._sources, actor, "export", meter, span)
        rows = self._store.export(*span)
        return (
            row
            for row in rows
            if (meter is None or row.meter == meter)
            and (seen is None or row.meter in seen)
            and not is_apart(row.profile)
        )
