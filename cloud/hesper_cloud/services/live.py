"""Live frames: once a second, and sooner when a command moves, one JSON text for all listeners.

A listener that is slow misses frames and never holds up another: it is given the newest one when
it comes back for it. Changed values are those of meters with new rows since the last frame; a page
that says which meters it shows gets theirs alone, and everything else is the same text for all.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.authority.policy import JOBS
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert
from hesper_cloud.db.watch import Watch
from hesper_cloud.services.alert_records import alert_row
from hesper_cloud.services.commands import command_row
from hesper_cloud.services.looking import looked_at_all
from hesper_cloud.services.overview import OverviewService
from hesper_cloud.services.records import Overview
from hesper_cloud.services.scope import seen_meters
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.stores.port import StoreError

_log = logging.getLogger(__name__)
_FRAME_S = 1.0
_LOOK_S = 0.04
_BLIND_LOOK_S = 0.5
_OVERLAP = timedelta(seconds=2)  # a change is stamped before it is committed
_MAX_METERS = 1000
_MAX_ROWS = 200
_SELF = Actor("live", Role.VIEWER)
Values = list[tuple[object, ...]]


@dataclass(slots=True, eq=False)
class Showing:
    """What one page shows: the values of these meters, or None: of all that change."""

    meters: frozenset[str] | None = None


class _Frame:
    """What changed until one moment; encoded when somebody asks, and then for all."""

    def __init__(
        self, common: dict[str, Any], changed: Collection[str], values_of: Callable[[str], Values]
    ) -> None:
        self._common = common
        self._changed = frozenset(changed)
        self._values_of = values_of
        self._encoded: dict[frozenset[str] | None, bytes] = {}

    def octets(self, showing: Showing) -> bytes:
        """Returns it as JSON, with the values that are shown."""
        shown = None if showing.meters is None else showing.meters & self._changed
        known = self._encoded.get(shown)
        if known is None:
            first = sorted(self._changed)[:_MAX_METERS] if shown is None else shown
            known = self._encoded[shown] = self._encode(first)
        return known

    def _encode(self, meters: Collection[str]) -> bytes:
        values = {meter: self._values_of(meter) for meter in meters}
        return orjson.dumps(self._common | {"values": values}, option=orjson.OPT_UTC_Z)


class Live:
    """Makes frames while `run` runs; `subscribe` hands them out."""

    def __init__(self, sources: Sources, overview: OverviewService) -> None:
        self._sources = sources
        self._overview = overview
        self._frame: _Frame | None = None
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._listeners: list[Showing] = []
        self._version = 0
        self._since = sources.clock()
        self._due = 0.0

    async def subscribe(
        self, actor: Actor, showing: Showing | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yields frames as JSON octets, newest first seen; never the same frame twice.

        What ``showing`` says counts anew for each frame.
        """
        require(actor, Permission.READ)
        looked_at_all(self._sources, actor, "live values")
        showing = showing or Showing()
        self._listeners.append(showing)
        if self._frame is None:
            self._due = 0.0  # who comes first need not wait for the beat
        self._wanted.set()
        try:
            while True:
                if self._frame is not None:
                    yield await self._as_seen(actor, self._frame.octets(showing))
                await self._arrived.wait()
        finally:
            self._listeners.remove(showing)

    async def _as_seen(self, actor: Actor, frame: bytes) -> bytes:
        """Returns a frame with what is in the actor's areas alone, where it has some."""
        if actor.areas is None:
            return frame
        figures = await self._overview.figures_now(actor)
        narrowed = await asyncio.to_thread(self._narrowed, actor, orjson.loads(frame))
        return orjson.dumps(narrowed | {"figures": figures}, option=orjson.OPT_UTC_Z)

    def _narrowed(self, actor: Actor, frame: dict[str, Any]) -> dict[str, Any]:
        meters = {*frame["values"], *(each["meter"] for each in frame["commands"])}
        seen = seen_meters(self._sources.registry, actor, meters)
        values = {meter: found for meter, found in frame["values"].items() if meter in seen}
        commands = [each for each in frame["commands"] if each["meter"] in seen]
        alerts = [each for each in frame["alerts"] if actor.sees(each["area"])]
        return frame | {"values": values, "commands": commands, "alerts": alerts}

    async def run(self) -> None:
        """Makes a frame each second, and as soon as the authority has moved something.

        Rests while nobody listens. Where `Watch` cannot tell of moves it makes two a second.
        """
        watch = Watch(self._sources.settings.database.authority_url)
        pause_s = _LOOK_S if watch.tells else _BLIND_LOOK_S
        try:
            while True:
                await self._wanted.wait()
                moved = watch.changed()
                if moved or time.monotonic() >= self._due:
                    self._due = time.monotonic() + _FRAME_S
                    await self._make_frame()
                await asyncio.sleep(pause_s)
        finally:
            watch.close()

    async def _make_frame(self) -> None:
        if not self._listeners:
            self._frame = None
            self._wanted.clear()
            return
        try:
            self._frame = await self._snapshot()
        except (SQLAlchemyError, StoreError) as error:
            _log.warning("no live frame: %s", error)
            return
        arrived, self._arrived = self._arrived, asyncio.Event()
        arrived.set()

    async def _snapshot(self) -> _Frame:
        """Returns one frame of all that changed since the one before."""
        figures = await self._overview.figures_now(_SELF)
        return await asyncio.to_thread(self._made, figures)

    def _made(self, figures: Overview) -> _Frame:
        next_since = self._sources.clock() - _OVERLAP
        rows = {"commands": self._commands(self._since), "alerts": self._alerts(self._since)}
        self._since = next_since  # not before both were found: else what changed is never told
        self._version, changed = self._sources.latest.changed_since(self._version)
        common = {"server_time": self._sources.clock(), "figures": figures, **rows}
        frame = _Frame(common, changed, self._values)
        for showing in (*self._listeners,):
            frame.octets(showing)  # encoded here, so that the event loop need not
        return frame

    def _values(self, meter: str) -> Values:
        return [
            (
                each.logical_name,
                each.value,
                each.scaler,
                each.unit,
                each.captured_at,
                each.stored_at,
                each.quality,
            )
            for each in self._sources.latest.of(meter)
        ]

    def _commands(self, since: datetime) -> list[object]:
        changed = (CommandRecord.updated_at >= since) & (CommandRecord.requester != JOBS)
        query = select(CommandRecord).where(changed).limit(_MAX_ROWS)
        with reading(self._sources.authority) as session:
            return [command_row(record) for record in session.scalars(query)]

    def _alerts(self, since: datetime) -> list[object]:
        changed = (Alert.changed_at >= since) & Alert.suppressed.is_(False)
        with reading(self._sources.registry) as session:
            rows = session.scalars(select(Alert).where(changed).limit(_MAX_ROWS))
            return [alert_row(alert) for alert in rows]
