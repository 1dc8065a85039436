"""The last pass of an erasure: what is ordered is taken out of the archive.

It is made in the thread in which readings are archived, after both passes over everything else:
nothing of the meter can come from the store into the archive any more. An archive that cannot be
reached or is damaged leaves its orders standing; an alert says so, and each turn tries again.
"""

import time
from collections.abc import Iterator

import pyarrow as pa
from sqlalchemy import select

from hesper_cloud.archive.files import Share
from hesper_cloud.archive.keeping import ArchiveError, is_used
from hesper_cloud.archive.leaving_out import LeavingOut
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Erasure
from hesper_cloud.erasure.rows import Extent, total
from hesper_cloud.exports.targets import TargetError
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.port import StoreUnavailable
from hesper_cloud.worded import worded

PASSES_BEFORE = 2
STANDS = Subject("archive-erasure")
TURN_S = 30.0
_COUNT = "readings in the archive"


class OfArchive:
    """Works on one order after another; those that failed come last."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._folder = sources.settings.store.retention.archive
        self._alerts = Alerts(sources.registry)
        self._under_way: dict[tuple[int, int], Iterator[int]] = {}
        self._failed: set[int] = set()

    def concerns(self) -> bool:
        """Says whether there is an archive, or was one."""
        return bool(self._folder) or is_used(self._sources.registry)

    def turn(self) -> bool:
        """Begins no further file after half a minute; says whether some are left.

        Raises:
            StoreUnavailable: the archive cannot be reached or changed; orders stand.
        """
        deadline, problems, orders = time.monotonic() + TURN_S, list[str](), self._standing()
        for order in orders:
            try:
                if not self._complete(order, deadline):
                    return True
            except (ArchiveError, TargetError, pa.ArrowException) as error:
                self._under_way.clear()
                self._failed.add(order.id)
                problems.append(f"{order.meter}: {error}")
            else:
                self._failed.discard(order.id)
        if orders:
            self._tell("; ".join(problems))
        return False

    def _standing(self) -> list[Erasure]:
        query = select(Erasure).where(
            Erasure.finished_at.is_(None), Erasure.passes == PASSES_BEFORE
        )
        with reading(self._sources.registry) as session:
            found = session.scalars(query).all()
        return sorted(found, key=lambda order: (order.id in self._failed, order.id))

    def _complete(self, order: Erasure, deadline: float) -> bool:
        """Works on an order, from where the last turn left it; says whether it is complete."""
        key = (order.id, order.audit_row)
        if key not in self._under_way:
            extent = Extent.of(order)
            share = Share(extent.meter, *extent.bounds)
            leaving = LeavingOut(self._folder, self._sources.registry, share)
            self._under_way = {key: leaving.run()}
        for taken in self._under_way[key]:
            if taken:
                self._count(order.id, taken)
            if time.monotonic() > deadline:
                return False
        self._under_way.clear()
        with writing(self._sources.registry) as session:
            row = session.get_one(Erasure, order.id)
            if row.audit_row == order.audit_row:  # else it was asked for again, and begins anew
                row.finished_at = self._sources.clock()
        return True

    def _count(self, order_id: int, taken: int) -> None:
        with writing(self._sources.registry) as session:
            order = session.get_one(Erasure, order_id)
            order.removed = total(order.removed, {_COUNT: taken})

    def _tell(self, why: str) -> None:
        """Alarms, or ends the alarm."""
        now = self._sources.clock()
        if not why:
            self._alerts.clear(STANDS, at=now)
            return
        text = worded("Erasures stand, because the archive cannot be changed: {why}", why=why)
        self._alerts.raise_(STANDS, "warning", text, at=now)
        raise StoreUnavailable(f"erasures stand, because the archive cannot be changed: {why}")
