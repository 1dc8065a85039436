"""Events batches become rows of the events table; an event id is stored once.

The broker lets a gateway write below its own name alone, but the meters that it tells of are
whatever it says. An event of a meter that the registry puts behind another gateway is stored with a
mark, and nothing is concluded from it (`Event.is_own`): no rule's alert, no loss of power or its
end. Who must hear of it all the same is told apart from the others.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
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
from hesper_cloud.ingest.seen import insert_all_new

MAX_ID = 128
MAX_CODE = 128
Told = Callable[[Session, str, Event], None]


class EventRows:
    """Decodes events batches and inserts their events.

    `followers` are called inside the transaction with the gateway and every event that is new, so
    that what they conclude is committed with it; `of_foreign` instead of them where the meter is
    behind another gateway.
    """

    def __init__(self, followers: Iterable[Told] = (), of_foreign: Iterable[Told] = ()) -> None:
        self.followers = list(followers)
        self._of_foreign = tuple(of_foreign)

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
        foreign = _foreign(session, message.gateway, first.values())
        rows = [
            _row(event, message.gateway, stored_at, is_foreign=event.meter in foreign)
            for event in first.values()
        ]
        new = insert_all_new(session, registry.Event, rows)
        for event in first.values():
            if event.id in new:
                metrics.EVENTS.inc()
                metrics.EVENTS_BY_GROUP.labels(group_of(event.code)).inc()
                for told in self._of_foreign if event.meter in foreign else self.followers:
                    told(session, message.gateway, event)


def _foreign(session: Session, gateway: str, told: Iterable[Event]) -> set[str | None]:
    """Returns the meters of events that the registry puts behind another gateway."""
    meters = sorted({event.meter for event in told if event.meter is not None})
    other = registry.Meter.gateway_id != gateway
    return {
        meter
        for some in batched(meters)
        for meter in session.scalars(
            select(registry.Meter.id).where(registry.Meter.id.in_(some), other)
        )
    }


def _row(event: Event, gateway: str, stored_at: datetime, *, is_foreign: bool) -> dict[str, Any]:
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
