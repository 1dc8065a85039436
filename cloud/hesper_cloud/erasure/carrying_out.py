"""Carries standing orders to erase out, and again until they are complete.

Theory of operation. The order is a row of the registry, written after its audit row. One pass
removes, each step for itself and repeatable: what the registry holds of the meter, its readings,
its latest values, its rows of the energy book, kept files that name it; its last transaction counts
the pass. A pass that was killed or failed is done again from its beginning and finds less.

Two complete passes make an order done. The first is made in the thread of the gap ledger, so that
none of its looks began before it and ends after it: what is expected of the meter begins anew, and
nothing that was erased is asked for again. The second is made in the thread of the energy book, and
takes what validation had in hand during the first and brought back.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hesper_contracts.topics import Topics
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.assets.exchange import took_part
from hesper_cloud.assets.forgetting import forget_household
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import (
    Alert,
    Backfill,
    DeadLetter,
    DirtyDay,
    Erasure,
    Event,
    Gap,
    Meter,
    MeterExchange,
    MeterProfile,
    PowerLoss,
    RegisterRead,
    RuleMemory,
    RuleTrial,
    Substitute,
)
from hesper_cloud.erasure import kept_files
from hesper_cloud.erasure.letters import Letters, letters_of
from hesper_cloud.rules.alerts import CLEARED
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import EARLIEST, LATEST

PASSES = 2
_OfMeters = Substitute | Gap | Backfill | DirtyDay | Event | RegisterRead | PowerLoss
_KINDS: dict[str, type[_OfMeters]] = {
    "edits and estimates": Substitute,
    "gaps": Gap,
    "backfills": Backfill,
    "marked days": DirtyDay,
    "events": Event,
    "register reads": RegisterRead,
    "power losses": PowerLoss,
}
Counts = dict[str, Any]


class Erasures:
    """Carries out what was ordered; each pass belongs to a thread, see above."""

    def __init__(self, sources: Sources, book: EnergyBook) -> None:
        self._sources = sources
        self._book = book

    def begin(self) -> None:
        """Makes the first pass for each order that stands."""
        self._turn(0)

    def finish(self) -> None:
        """Makes the second pass for each order that had its first."""
        self._turn(1)

    def _turn(self, passes: int) -> None:
        query = select(Erasure).where(Erasure.finished_at.is_(None), Erasure.passes == passes)
        with reading(self._sources.registry) as session:
            standing = session.scalars(query.order_by(Erasure.id)).all()
        for order in standing:
            self._pass(order.id, order.meter)

    def _pass(self, order_id: int, meter: str) -> None:
        sources = self._sources
        topics = Topics(sources.settings.broker.root)
        letters = letters_of(sources.registry, topics, meter)
        self._count(order_id, lambda session: _erase_rows(session, meter, letters, sources.clock()))
        gone = self._erase_readings(meter)
        self._count(order_id, lambda _: {"readings": gone})
        sources.latest.forget(meter)
        rows = self._book.erase(meter)
        files = self._erase_files(order_id, meter)
        self._count(order_id, lambda _: files)
        told = {"naming": letters.naming, "aside": aside(sources.settings)}
        with writing(sources.registry) as session:
            order = session.get_one(Erasure, order_id)
            again = _erase_rows(session, meter, Letters([], []), sources.clock())
            order.removed = _sum(_sum(order.removed, again), {"rows of the energy book": rows})
            order.removed |= told
            order.passes += 1
            if order.forget_customer:
                stays = forget_household(session, meter, sources.clock())
                order.removed |= {"customer kept": [stays]} if stays is not None else {}
            if order.passes == PASSES:
                order.finished_at = sources.clock()

    def _erase_readings(self, meter: str) -> int | None:
        """Returns how many readings went; None where there were some and the store cannot say."""
        store = self._sources.store
        held = store.readings(meter, None, EARLIEST, LATEST, 1)
        gone = store.erase(meter)
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
            order.removed = _sum(order.removed, step(session))


def aside(settings: Settings) -> list[str]:
    """Returns damaged files that were set aside: nobody can say whose readings they hold."""
    folder: Path = settings.readings_file.with_suffix(".sealed") / "aside"
    return sorted(path.name for path in folder.glob("*"))


def _erase_rows(session: Session, meter: str, letters: Letters, now: datetime) -> Counts:
    counts = {
        kind: _removed(session, delete(model).where(model.meter == meter))
        for kind, model in _KINDS.items()
    }
    memories = delete(RuleMemory).where(RuleMemory.subject == meter)
    counts["rules' memories"] = _removed(session, memories)
    trials = delete(RuleTrial).where(RuleTrial.subject == meter)
    counts["rules' trials"] = _removed(session, trials)
    ended = delete(Alert).where(Alert.meter == meter, Alert.state == CLEARED)
    counts["cleared alerts"] = _removed(session, ended)
    counts["exchanges"] = _removed(session, delete(MeterExchange).where(took_part(meter)))
    counts["dead letters"] = _removed(
        session, delete(DeadLetter).where(DeadLetter.id.in_(letters.own))
    )
    expected = update(MeterProfile).where(MeterProfile.meter == meter)
    session.execute(expected.values(expected_from=now))
    return counts


def _removed(session: Session, statement: Any) -> int:
    return session.connection().execute(statement).rowcount


def _sum(before: Counts, more: Counts) -> Counts:
    """Adds counts; what a store does not count stays None."""

    def added(kind: str, count: int | None) -> int | None:
        held = before.get(kind, 0)
        return None if held is None or count is None else held + count

    return before | {kind: added(kind, count) for kind, count in more.items()}
