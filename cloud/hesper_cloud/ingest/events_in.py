"""Events batches become rows of the events table; an event id is stored once.

The broker lets a gateway write below its own name alone, but the meters that it tells of are
whatever it says. An event of a meter that the registry puts behind another gateway is stored with a
mark, and nothing is concluded from it (`Event.is_own`): no rule's alert, no loss of power or its
end. Who must hear of it all the same is told apart from the others.

How many meters that are not behind it a sender may name is bounded (`names`), for each may become
an alert, a loss of power, a row of the registry. What it tells of one too many is stored, too, and
nothing is concluded from it but that its sender says so.

Nor may a gateway swallow what another one tells by using its id first: what comes under an id that
another gateway took, for something else or for a meter that was not its own, is stored under one
that no message can take.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from hesper_contracts import events
from hesper_contracts.events import Event
from hesper_contracts.frame import Refused
from hesper_contracts.topics import meter_id
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db import registry
from hesper_cloud.db.engines import batched
from hesper_cloud.events.catalogue import group_of
from hesper_cloud.ingest.message import Message
from hesper_cloud.ingest.names import Names
from hesper_cloud.ingest.seen import insert_all_new

MAX_ID = 128
MAX_CODE = 128
_APART = "apart:"
"""How the ids begin under which events are stored whose own is taken."""
Told = Callable[[Session, str, Event], None]
_Row = dict[str, Any]


class EventRows:
    """Decodes events batches and inserts their events.

    `followers` are called inside the transaction with the gateway and every event that is new, so
    that what they conclude is committed with it; `of_foreign` instead of them where the meter is
    behind another gateway, and `of_beyond` where there is no room for the meter's name, once for
    all such events of a message.
    """

    def __init__(
        self,
        names: Names,
        followers: Iterable[Told] = (),
        of_foreign: Iterable[Told] = (),
        of_beyond: Iterable[Told] = (),
    ) -> None:
        self.followers = list(followers)
        self._names = names
        self._of_foreign = tuple(of_foreign)
        self._of_beyond = tuple(of_beyond)

    def decode(self, message: Message) -> events.EventList:
        """Takes a payload apart; raises Refused."""
        decoded = events.from_payload(message.payload)
        for event in decoded.events:
            if not 0 < len(event.id) <= MAX_ID or not 0 < len(event.code) <= MAX_CODE:
                raise Refused(f"an event's id and code have 1 to {MAX_ID} characters")
            if event.meter is not None:
                meter_id(event.meter)
        return decoded

    def insert(
        self, session: Session, message: Message, decoded: events.EventList, stored_at: datetime
    ) -> None:
        """Adds events that are new to the transaction."""
        first: dict[str, Event] = {}
        for event in decoded.events:
            first.setdefault(event.id, event)
        meters = {event.meter for event in first.values() if event.meter is not None}
        owners = _owners(session, meters)
        foreign = {meter for meter, owner in owners.items() if owner not in {None, message.gateway}}
        beyond = self._names.beyond(message.gateway, sorted(foreign | meters - owners.keys()))
        rows = {
            event.id: _row(event, message.gateway, stored_at, is_foreign=event.meter in foreign)
            for event in first.values()
        }
        new = _inserted(session, rows)
        unheard = []
        for event in first.values():
            if event.id not in new:
                continue
            metrics.EVENTS.inc()
            metrics.EVENTS_BY_GROUP.labels(group_of(event.code)).inc()
            if event.meter in beyond:
                unheard.append(event)
                continue
            for told in self._of_foreign if event.meter in foreign else self.followers:
                told(session, message.gateway, event)
        for event in unheard[:1]:
            for told in self._of_beyond:
                told(session, message.gateway, event)


def _owners(session: Session, meters: Iterable[str]) -> dict[str, str | None]:
    """Returns behind which gateway the registry puts those of the meters that it knows."""
    columns = select(registry.Meter.id, registry.Meter.gateway_id)
    return {
        meter: gateway
        for some in batched(sorted(meters))
        for meter, gateway in session.execute(columns.where(registry.Meter.id.in_(some)))
    }


def _inserted(session: Session, rows: Mapping[str, _Row]) -> set[str]:
    """Inserts rows, by the ids that their events have; returns the ids of those that are new."""
    plain = [row for told, row in rows.items() if not told.startswith(_APART)]
    new = insert_all_new(session, registry.Event, plain)
    apart = {_apart(rows[told]): told for told in _taken(session, rows, rows.keys() - new)}
    others = [{**rows[told], "id": own} for own, told in apart.items()]
    return new | {apart[own] for own in insert_all_new(session, registry.Event, others)}


def _taken(session: Session, rows: Mapping[str, _Row], known: Iterable[str]) -> Iterator[str]:
    """Yields ids that are not their event's: another gateway's, for what that has no say in."""
    stored = registry.Event
    query = select(stored.id, stored.gateway, stored.meter, stored.is_own())
    for some in batched(sorted(known)):
        for told, gateway, meter, is_own in session.execute(query.where(stored.id.in_(some))):
            is_same = meter == rows[told]["meter"] and is_own
            if gateway != rows[told]["gateway"] and not is_same:
                yield told
        yield from (told for told in some if told.startswith(_APART))


def _apart(row: _Row) -> str:
    return _APART + sha256(f"{row['gateway']}/{row['id']}".encode()).hexdigest()


def _row(event: Event, gateway: str, stored_at: datetime, *, is_foreign: bool) -> _Row:
    mark = {registry.FOREIGN: registry.YES} if is_foreign else {}
    return {
        "id": event.id,
        "meter": event.meter,
        "gateway": gateway,
        "code": event.code,
        "severity": event.severity,
        "occurred_at": event.occurred_at,
        "stored_at": stored_at,
        "text": event.text,
        "attributes": {**event.attributes, **mark},
    }
