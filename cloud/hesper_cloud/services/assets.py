"""Assets of every kind: lists, one by one, creation, change, deletion, history, search."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.assets import grid, history, keeping
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import ELEMENT, KINDS, METER, Kind
from hesper_cloud.assets.links import by_number
from hesper_cloud.db.engines import reading
from hesper_cloud.paging import Asked, BadPage
from hesper_cloud.services import asset_desk, asset_lists, asset_rows, asset_scope, asset_search
from hesper_cloud.services.asset_desk import AssetDesk
from hesper_cloud.services.asset_records import (
    AssetKind,
    AssetQuery,
    AssetRow,
    ChangeRow,
    FirmwareSeen,
    SearchHit,
)
from hesper_cloud.services.asset_scope import key_of
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import told_by, worded

T = TypeVar("T")
_MOST_CHANGES = 500


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """One page of a list; ``next`` is the cursor of the page that follows."""

    rows: list[T]
    next: str | None
    total: int


class Assets:
    """Keeps assets in the name of actors; every change is audited first and leaves its history."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._desk = AssetDesk(sources, link)

    async def page(
        self, actor: Actor, kind: AssetKind, query: AssetQuery, asked: Asked | None = None
    ) -> Listed[AssetRow]:
        """Returns one page of a kind's list.

        Raises:
            Invalid: no such order or filter, or a cursor of another question.
        """
        require(actor, Permission.READ)
        known = KINDS[kind]
        asked = asked or Asked(query.limit)

        def load(session: Session) -> Listed[AssetRow]:
            try:
                rows, following, total = asset_lists.page(session, actor, known, query, asked)
            except BadPage as error:
                raise Invalid(told_by(error)) from None
            return Listed(
                asset_rows.records(self._look(session, actor), kind, rows), following, total
            )

        return await self._read(load)

    async def get(self, actor: Actor, kind: AssetKind, key: str | int) -> AssetRow:
        """Returns one asset.

        Raises:
            NotFound: there is none, or it was deleted, or it is elsewhere.
        """
        require(actor, Permission.READ)

        def load(session: Session) -> AssetRow:
            row = self._found(session, actor, KINDS[kind], key)
            return asset_rows.records(self._look(session, actor), kind, [row])[0]

        return await self._read(load)

    async def create(self, actor: Actor, kind: AssetKind, values: Mapping[str, Any]) -> AssetRow:
        """Adds an asset.

        Raises:
            Invalid: a value is not one, or names what is not there.
            Refused: there is one of this name or number.
        """
        known = KINDS[kind]
        asset_scope.require_keeper(actor, known)

        def work(session: Session, by: By) -> AssetRow:
            told = by_number(session, known, values)
            asset_scope.require_named_seen(session, actor, known, told)
            row = keeping.create(session, known, told, by)
            return self._told(session, actor, known, row)

        named = str(values.get(known.key) or values.get("iccid") or "")
        return await self._desk.make(actor, "asset.create", f"{kind} {named}".strip(), work)

    async def change(
        self,
        actor: Actor,
        kind: AssetKind,
        key: str | int,
        values: Mapping[str, Any],
        version: int | None = None,
    ) -> AssetRow:
        """Changes fields of an asset; None empties one.

        Raises:
            NotFound, Invalid, Refused: as for the others.
            Stale: it has another version than the one named.
        """
        known = KINDS[kind]
        asset_scope.require_keeper(actor, known)

        def work(session: Session, by: By) -> AssetRow:
            row = self._found(session, actor, known, key, version)
            told = by_number(session, known, values)
            asset_scope.require_named_seen(session, actor, known, told)
            keeping.change(session, known, row, told, by)
            return self._told(session, actor, known, row)

        return await self._desk.make(actor, "asset.update", f"{kind} {key}", work)

    async def delete(
        self, actor: Actor, kind: AssetKind, key: str | int, version: int | None = None
    ) -> None:
        """Deletes an asset that nothing uses.

        Raises:
            NotFound, Refused, Stale: as for the others.
        """
        known = KINDS[kind]
        asset_scope.require_keeper(actor, known)

        def work(session: Session, by: By) -> None:
            row = self._found(session, actor, known, key, version)
            keeping.delete(session, known, row, by)

        await self._desk.make(actor, "asset.delete", f"{kind} {key}", work)

    async def restore(self, actor: Actor, kind: AssetKind, key: str | int) -> AssetRow:
        """Takes a deletion back.

        Raises:
            NotFound: there is no such asset that was deleted.
        """
        known = KINDS[kind]
        asset_scope.require_keeper(actor, known)

        def work(session: Session, by: By) -> AssetRow:
            asset_scope.require_seen(session, actor, known, key_of(known, key))
            row = keeping.restore(session, known, key_of(known, key), by)
            return self._told(session, actor, known, row)

        return await self._desk.make(actor, "asset.restore", f"{kind} {key}", work)

    async def place(
        self, actor: Actor, element: str, meter: str, role: grid.Role | None, at: datetime
    ) -> None:
        """Puts a meter at an element of the grid from a moment on; with no role, takes it away.

        Raises:
            NotFound, Refused: there is no such element or meter, or it has another place then.
        """
        asset_scope.require_keeper(actor, ELEMENT)

        def work(session: Session, by: By) -> None:
            row = self._found(session, actor, METER, meter)
            if role is None:
                grid.take(session, element, row, at, by)
            else:
                grid.put(session, element, row, role, at, by)

        await self._desk.make(actor, "asset.update", f"element {element}", work)

    async def history(
        self,
        actor: Actor,
        kind: AssetKind,
        key: str | int,
        before: int | None = None,
        limit: int = 100,
    ) -> list[ChangeRow]:
        """Returns an asset's changes, newest first, of deleted ones too.

        Args:
            actor: Who asks.
            kind: Of the asset.
            key: Its id or name.
            before: The number of a change; those before it are meant.
            limit: How many at most.
        """
        require(actor, Permission.READ)
        known, limit = KINDS[kind], min(max(1, limit), _MOST_CHANGES)

        def load(session: Session) -> list[ChangeRow]:
            asset_scope.require_seen(session, actor, known, key_of(known, key))
            rows = history.changes(session, kind, str(key), before, limit)
            if not rows and before is None and session.get(known.model, key_of(known, key)) is None:
                raise NotFound(worded("there is no {kind} {key}", kind=kind, key=key))
            return [asset_rows.change(row) for row in rows]

        return await self._read(load)

    async def search(self, actor: Actor, text: str, each: int = 5) -> list[SearchHit]:
        """Returns what a few words find, some of each kind."""
        require(actor, Permission.READ)
        return await self._read(lambda session: asset_search.search(session, actor, text, each))

    async def firmware_seen(self, actor: Actor) -> list[FirmwareSeen]:
        """Returns which versions of firmware meters and gateways run."""
        require(actor, Permission.READ)
        require_everywhere(actor, "the count of firmware versions")
        return await self._read(asset_rows.firmware)

    async def _read(self, load: Callable[[Session], T]) -> T:
        def in_session() -> T:
            with asset_desk.told(), reading(self._sources.registry) as session:
                return load(session)

        return await asyncio.to_thread(in_session)

    def _found(
        self, session: Session, actor: Actor, kind: Kind, key: Any, version: int | None = None
    ) -> Any:
        asset_scope.require_seen(session, actor, kind, key_of(kind, key))
        return keeping.find(session, kind, key_of(kind, key), version)

    def _told(self, session: Session, actor: Actor, kind: Kind, row: Any) -> AssetRow:
        session.flush()
        asset_scope.require_still_seen(session, actor, kind, getattr(row, kind.key))
        return asset_rows.records(self._look(session, actor), kind.name, [row])[0]

    def _look(self, session: Session, actor: Actor) -> asset_rows.Look:
        return asset_rows.Look(session, actor, self._sources.clock())
