"""Readings for other systems: the change feed, and exports in their formats."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.db.archive import archived_before
from hesper_cloud.exports.named import stranger
from hesper_cloud.exports.running import Wanted, octets_of
from hesper_cloud.exports.scheduled import runs
from hesper_cloud.services.errors import Gone, Invalid, NotFound, Refused
from hesper_cloud.services.looking import looked_at, looked_at_all
from hesper_cloud.services.scope import meters_of, require_everywhere, seen_meters
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.stores.apart import is_apart
from hesper_cloud.stores.port import Changes, StartAgain
from hesper_cloud.worded import told_by, worded

MOST_CHANGES = 10_000


@dataclass(frozen=True, slots=True)
class ExportRunRow:
    """One run of a scheduled export: readings with ``from_at <= captured < to_at``."""

    id: int
    name: str
    from_at: datetime
    to_at: datetime
    state: str  # running | done | failed
    tries: int
    row_count: int | None
    target: str
    reason: str | None
    finished_at: datetime | None
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class Exports:
    """What leaves the house by REST."""

    sources: Sources
    shelf: Shelf

    async def changes(self, actor: Actor, cursor: str, limit: int) -> Changes:
        """Returns what was stored after a cursor, corrections and late readings included.

        Raises:
            Gone: it is of a store that was replaced; the error says where to start again.
            Invalid: the cursor is none of this store.
        """
        require(actor, Permission.READ)
        looked_at_all(self.sources, actor, "changes")
        wanted = min(max(1, limit), MOST_CHANGES)
        try:
            found = await asyncio.to_thread(self.sources.store.changes, cursor, wanted)
        except StartAgain as error:
            raise Gone(told_by(error), error.cursor) from None
        except ValueError as error:
            raise Invalid(
                worded("the cursor is not one of this store: {error}", error=error)
            ) from None
        return await asyncio.to_thread(self._seen, actor, found)

    def _seen(self, actor: Actor, found: Changes) -> Changes:
        """Leaves out what the actor does not see, and what is kept apart; the cursor goes on."""
        own = [row for row in found.readings if not is_apart(row.profile)]
        seen = seen_meters(self.sources.registry, actor, {row.meter for row in own})
        return replace(found, readings=[row for row in own if row.meter in seen])

    async def runs(self, actor: Actor, limit: int) -> list[ExportRunRow]:
        """Returns the newest runs of scheduled exports."""
        require(actor, Permission.READ)
        require_everywhere(actor, "the list of scheduled exports")
        found = await asyncio.to_thread(runs, self.sources.registry, limit)
        names = [field.name for field in fields(ExportRunRow)]
        return [ExportRunRow(**{name: getattr(run, name) for name in names}) for run in found]

    def octets(self, actor: Actor, wanted: Wanted) -> Iterator[bytes]:
        """Yields an export part by part; blocks, use a thread.

        Raises:
            NotFound: nothing is known of a meter that it names, or it is elsewhere.
            Refused: some of it has left for the archive.
        """
        require(actor, Permission.READ)
        own = meters_of(self.sources.registry, actor)
        if own is None:
            self._require_known(wanted)
        elif wanted.meters is None:
            wanted = replace(wanted, meters=own)
        else:
            _require_own(own, wanted.meters)
        self._require_whole(wanted.start)
        self._note(actor, wanted)
        return octets_of(self.shelf, wanted)

    def _require_known(self, wanted: Wanted) -> None:
        unknown = stranger(self.sources.registry, self.sources.store, wanted.meters or ())
        if unknown is not None:
            raise NotFound(worded("there is no meter {meter}", meter=unknown))

    def _require_whole(self, start: int) -> None:
        """Refuses to give as whole what has left in part."""
        left = archived_before(self.sources.registry)
        if start < left:
            raise Refused(
                worded(
                    "readings before {day} are in the archive, not in the store: ask from then on",
                    day=f"{datetime.fromtimestamp(left, UTC):%F}",
                )
            )

    def _note(self, actor: Actor, wanted: Wanted) -> None:
        span = (wanted.start, wanted.end)
        if wanted.meters is None or (actor.areas is not None and len(wanted.meters) > 1):
            looked_at_all(self.sources, actor, "export", span)
            return
        for meter in wanted.meters:
            looked_at(self.sources, actor, "export", meter, span)


def _require_own(own: Sequence[str], named: Sequence[str]) -> None:
    beyond = {*named} - {*own}
    if beyond:
        raise NotFound(worded("there is no meter {meter}", meter=min(beyond)))
