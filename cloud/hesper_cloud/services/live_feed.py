"""What the rooms of the live connection are told: whatever is new among committed rows.

Theory of operation. Nothing is said that is not durable: readings come from the latest values,
which follow the store's commits; alerts, events and commands from their tables, whichever process
wrote them. While nobody is in a room nothing is looked at, and what happened before somebody came
is not told. A row is stamped before it is committed, so each look goes back a little, and what was
told already is remembered for that long. Of more news than a listener's mailbox holds the newest
are told, and of the others how many they are.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import quantities
from hesper_cloud.authority.policy import JOBS
from hesper_cloud.db.alerting import CLEARED
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert, Event
from hesper_cloud.live.hub import MOST_WAITING
from hesper_cloud.live.places import Place
from hesper_cloud.services.alert_records import alert_row
from hesper_cloud.services.commands import command_row
from hesper_cloud.services.errors import Unavailable
from hesper_cloud.services.sources import Sources, instant
from hesper_cloud.services.whereabouts import Whereabouts

_log = logging.getLogger(__name__)
LOOK_S = 0.25
FOLLOWED_WITHIN_S = 10.0
_BACK = timedelta(seconds=5)


class _New:
    """What a table has that was not told yet, told by key, stamp and state."""

    def __init__(self) -> None:
        self._told: dict[tuple[Any, ...], datetime] = {}

    def of(self, marks: Iterable[Sequence[Any]]) -> list[Any]:
        """Returns the keys of those marks, each a key, its stamp and a state, that are new."""
        return [mark[0] for mark in marks if tuple(mark) not in self._told]

    def note(self, marks: Iterable[Sequence[Any]]) -> None:
        """Notes marks as told."""
        self._told |= {tuple(mark): mark[1] for mark in marks}

    def forget(self, before: datetime) -> None:
        """Forgets what the next look does not go back to."""
        self._told = {mark: at for mark, at in self._told.items() if at >= before}


class LiveFeed:
    """Looks several times a second while somebody is in a room."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._places = Whereabouts(sources.registry)
        self._version = 0
        self._since: datetime | None = None
        self._relays: dict[str, int | None] = {}
        self._following = asyncio.Event()
        self._alerts, self._events, self._commands = _New(), _New(), _New()

    async def run(self) -> None:
        """Feeds the rooms until cancelled."""
        while True:
            if self._sources.live.is_heard:
                try:
                    await asyncio.to_thread(self.turn)
                    self._following.set()
                except SQLAlchemyError as error:
                    _log.warning("the rooms are told nothing now: %s", error)
            else:
                self._since = None
                self._following.clear()
            await asyncio.sleep(LOOK_S)

    async def following(self) -> None:
        """Waits until everything that is committed from now on will be told.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            await asyncio.wait_for(self._following.wait(), FOLLOWED_WITHIN_S)
        except TimeoutError:
            raise Unavailable("what is new cannot be looked up now; join again") from None

    def turn(self) -> None:
        """Looks once; the first look after nobody listened only takes note of where things are."""
        since, self._since = self._since, self._sources.clock()
        tell = since is not None
        if not tell:
            self._version, _ = self._sources.latest.changed_since(self._version)
            self._relays.clear()
        self._look((since or self._since) - _BACK, tell=tell)
        if tell:
            self._tell_readings()

    def _look(self, since: datetime, *, tell: bool) -> None:
        registry, authority = self._sources.registry, self._sources.authority
        for new, engine, marks, publish in (
            (self._alerts, registry, _alerts_since(since), self._tell_alert),
            (self._events, registry, _events_since(since), self._tell_event),
            (self._commands, authority, _commands_since(since), self._tell_command),
        ):
            with reading(engine) as session:
                found = session.execute(marks).all()
                keys = new.of(found) if tell else []
                table = marks.column_descriptions[0]["entity"]
                some = select(table).where(table.id.in_(keys[-MOST_WAITING:]))
                rows = {row.id: row for row in session.scalars(some)} if keys else {}
            new.note(found)
            for key in filter(rows.get, keys):
                publish(rows[key])
            self._sources.live.skip(max(0, len(keys) - MOST_WAITING))
            new.forget(since)

    def _tell_alert(self, row: Alert) -> None:
        where = Place(row.meter, row.gateway, row.area)
        self._sources.live.publish(where, "alert-created", _plain(alert_row(row)), str(row.id))

    def _tell_event(self, row: Event) -> None:
        where = self._place(row.meter, row.gateway)
        document = {
            "id": row.id,
            "meter": row.meter,
            "gateway": row.gateway,
            "code": row.code,
            "severity": row.severity,
            "occurred_at": row.occurred_at,
            "stored_at": row.stored_at,
            "text": row.text,
        }
        self._sources.live.publish(where, "event-logged", document, row.id)

    def _tell_command(self, row: CommandRecord) -> None:
        where = self._place(row.meter or None, row.gateway)
        document = _plain(command_row(row))
        document.pop("parameters")  # a file or a calendar; whoever wants it asks for the command
        self._sources.live.publish(where, "command-state", document, row.id)

    def _place(self, meter: str | None, gateway: str | None) -> Place:
        known = self._places.of([meter])[meter] if meter else Place()
        return Place(meter, gateway or known.gateway, known.area)

    def _tell_readings(self) -> None:
        latest, hub = self._sources.latest, self._sources.live
        self._version, changed = latest.changed_since(self._version)
        rooms = hub.rooms()
        if all(room.kind == "meter" for room in rooms):
            changed &= {room.name for room in rooms}
        meters = sorted(changed)
        hub.skip(max(0, len(meters) - MOST_WAITING))
        for meter, place in self._places.of(meters[:MOST_WAITING]).items():
            values = [
                {
                    "profile": each.profile,
                    "logical_name": each.logical_name,
                    "value": each.value,
                    "scaler": each.scaler,
                    "unit": each.unit,
                    "captured_at": instant(each.captured_at),
                    "stored_at": instant(each.stored_at),
                    "quality": each.quality,
                }
                for each in latest.of(meter)
            ]
            hub.publish(place, "meter-reading-update", {"meter": meter, "values": values})
            self._tell_relay(place, meter)

    def _tell_relay(self, place: Place, meter: str) -> None:
        """Tells of a relay that a reading shows to have moved."""
        relay = self._sources.latest.value(meter, quantities.RELAY)
        if relay is None or relay.value is None:
            return
        before = self._relays.get(meter)
        self._relays[meter] = relay.value
        if before is not None and before != relay.value:
            document = {
                "meter": meter,
                "status": "connected" if relay.value else "disconnected",
                "at": instant(relay.captured_at),
            }
            self._sources.live.publish(place, "meter-status-change", document, f"{meter} relay")


def _alerts_since(since: datetime) -> Select[*tuple[Any, ...]]:
    new = (Alert.changed_at >= since) & (Alert.raised_at >= since)
    shown = Alert.suppressed.is_(False) & (Alert.state != CLEARED)
    return select(Alert.id, Alert.raised_at).where(new, shown).order_by(Alert.raised_at)


def _events_since(since: datetime) -> Select[*tuple[Any, ...]]:
    query = select(Event.id, Event.stored_at).where(Event.stored_at >= since)
    return query.order_by(Event.stored_at)


def _commands_since(since: datetime) -> Select[*tuple[Any, ...]]:
    stamp = CommandRecord.updated_at
    changed = (stamp >= since) & (CommandRecord.requester != JOBS)
    return select(CommandRecord.id, stamp, CommandRecord.state).where(changed).order_by(stamp)


def _plain(row: Any) -> dict[str, Any]:
    return asdict(row)
