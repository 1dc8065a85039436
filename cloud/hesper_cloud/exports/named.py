"""Meters that an export names: a slip of the pen must not look like a meter without readings."""

from collections.abc import Sequence

from sqlalchemy import Engine, select

from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.stores.port import EARLIEST, LATEST, ReadingStore


def stranger(registry: Engine, store: ReadingStore, meters: Sequence[str]) -> str | None:
    """Returns a meter that is neither on record nor has readings; None where there is none."""
    known: set[str] = set()
    with reading(registry) as session:
        for some in batched(meters):
            known.update(session.scalars(select(Meter.id).where(Meter.id.in_(some))))
    others = (meter for meter in meters if meter not in known)
    span = EARLIEST, LATEST + 1
    return next((each for each in others if not store.readings(each, None, *span, 1)), None)
