"""Carries standing orders to erase out, and again until they are complete.

Theory of operation. The order is a row of the registry, written after its audit row. One pass
removes, each step for itself and repeatable: what the registry holds of the meter, its readings,
its latest values, its rows of the energy book, kept files that name it; its last transaction counts
the pass. A pass that was killed or failed is done again from its beginning and finds less.

Two complete passes make an order done. The first is made in the thread of the gap ledger, so that
none of its looks began before it and ends after it: what is expected of the meter begins anew, and
nothing that was erased is asked for again. The second is made in the thread of the energy book, and
takes what validation had in hand during the first and brought back. Where readings are archived, a
last pass takes them out of the archive (`hesper_cloud.erasure.of_archive`), and then the order is
done.

An order may be of a time alone, when the meter was one person's: what it measured for others stays,
and the days at both ends are worked anew from what is left of them.
"""

from collections.abc import Callable
from pathlib import Path

from hesper_contracts.topics import Topics
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.assets.forgetting import forget_household
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Erasure, Meter
from hesper_cloud.erasure import kept_files, rows
from hesper_cloud.erasure.letters import letters_of
from hesper_cloud.erasure.of_archive import PASSES_BEFORE, OfArchive
from hesper_cloud.erasure.rows import Counts, Extent, total
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.validation import dirty


class Erasures:
    """Carries out what was ordered; each pass belongs to a thread, see above."""

    def __init__(self, sources: Sources, book: EnergyBook) -> None:
        self._sources = sources
        self._book = book
        self._archive = OfArchive(sources)

    def begin(self) -> None:
        """Makes the first pass for each order that stands."""
        self._turn(0)

    def finish(self) -> None:
        """Makes the second pass for each order that had its first."""
        self._turn(1)

    def leave_archive(self) -> bool:
        """Makes the last pass for each order that had both, for a while; says if some is left."""
        return self._archive.turn()

    def _turn(self, passes: int) -> None:
        query = select(Erasure).where(Erasure.finished_at.is_(None), Erasure.passes == passes)
        with reading(self._sources.registry) as session:
            standing = session.scalars(query.order_by(Erasure.id)).all()
        for order in standing:
            self._pass(order.id, Extent.of(order))

    def _pass(self, order_id: int, extent: Extent) -> None:
        sources, meter = self._sources, extent.meter
        topics = Topics(sources.settings.broker.root)
        letters = letters_of(sources.registry, topics, meter)
        self._count(
            order_id, lambda session: rows.erase(session, extent, letters.own, sources.clock())
        )
        gone = self._erase_readings(extent)
        self._count(order_id, lambda _: {"readings": gone})
        sources.latest.forget(meter, *extent.span)
        days = self._book.erase(meter, *extent.days())
        files = self._erase_files(order_id, meter)
        self._count(order_id, lambda _: files)
        told = {"naming": letters.naming, "aside": aside(sources.settings)}
        with writing(sources.registry) as session:
            order = session.get_one(Erasure, order_id)
            again = rows.erase(session, extent, [], sources.clock())
            order.removed = total(total(order.removed, again), {"rows of the energy book": days})
            order.removed |= told
            order.passes += 1
            if order.forget_customer:
                stays = forget_household(session, meter, sources.clock())
                order.removed |= {"customer kept": [stays]} if stays is not None else {}
            if order.passes == PASSES_BEFORE:
                order.finished_at = None if self._archive.concerns() else sources.clock()
                dirty.mark(session, extent.edges(), sources.clock())

    def _erase_readings(self, extent: Extent) -> int | None:
        """Returns how many readings went; None where there were some and the store cannot say."""
        store, (start, end) = self._sources.store, extent.span
        held = store.readings(extent.meter, None, *extent.bounds, 1)
        gone = store.erase(extent.meter, start, end)
        if self._sources.captures is not None:
            self._sources.captures.forget(extent.meter, start, end)
        return 0 if gone is None and not held else gone

    def _erase_files(self, order_id: int, meter: str) -> Counts:
        """Removes files of imports and reports that name the meter, or whom it is to forget."""
        sources = self._sources
        with reading(sources.registry) as session:
            names, row = [meter], session.get(Meter, meter)
            if session.get_one(Erasure, order_id).forget_customer and row and row.customer_id:
                names += kept_files.names_of(session.get(Customer, row.customer_id))
        return kept_files.remove(sources.registry, sources.settings.state, names, sources.clock())

    def _count(self, order_id: int, step: Callable[[Session], Counts]) -> None:
        """Does one step's work in the registry and counts it, in one transaction."""
        with writing(self._sources.registry) as session:
            order = session.get_one(Erasure, order_id)
            order.removed = total(order.removed, step(session))


def aside(settings: Settings) -> list[str]:
    """Returns damaged files that were set aside: nobody can say whose readings they hold."""
    folder: Path = settings.readings_file.with_suffix(".sealed") / "aside"
    return sorted(path.name for path in folder.glob("*"))
