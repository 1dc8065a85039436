"""Whether a range reaches back behind what the store holds: older readings are in the archive."""

import asyncio
from datetime import datetime, timedelta

from hesper_cloud.db.archive import archived_before
from hesper_cloud.services.sources import Sources, epoch, instant
from hesper_cloud.settings import LEAST_DAYS_ONLINE

_ONLINE = timedelta(days=LEAST_DAYS_ONLINE)


async def end_of_archive(sources: Sources, start: datetime) -> datetime | None:
    """Returns before when readings have left the store, where a range begins before that."""
    if start > sources.clock() - _ONLINE:
        return None
    left = await asyncio.to_thread(archived_before, sources.registry)
    return instant(left) if epoch(start) < left else None
