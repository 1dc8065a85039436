"""What is written down of meters beside their readings: gaps and events."""

from sqlalchemy import Engine, Select

from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Event, Gap
from hesper_cloud.events.catalogue import group_of
from hesper_cloud.services.records import EventRow, GapRow


def gaps(registry: Engine, query: Select[Gap]) -> list[GapRow]:
    """Returns stored gaps as the records that services give out."""
    with reading(registry) as session:
        return [gap_row(gap) for gap in session.scalars(query)]


def gap_row(gap: Gap) -> GapRow:
    """Returns one stored gap as the record that services give out."""
    return GapRow(
        id=gap.id,
        meter=gap.meter,
        profile=gap.profile,
        from_at=gap.from_at,
        to_at=gap.to_at,
        expected_count=gap.expected_count,
        cause=gap.cause,
        state=gap.state,
        noticed_at=gap.noticed_at,
        closed_at=gap.closed_at,
        tries=gap.tries,
        next_try_at=gap.next_try_at,
        reason=gap.reason,
        proof=gap.proof,
    )


def events(registry: Engine, query: Select[Event]) -> list[EventRow]:
    """Returns stored events as the records that services give out."""
    with reading(registry) as session:
        return [event_row(event) for event in session.scalars(query)]


def event_row(event: Event) -> EventRow:
    """Returns one stored event as the record that services give out."""
    return EventRow(
        id=event.id,
        meter=event.meter,
        gateway=event.gateway,
        code=event.code,
        severity=event.severity,
        occurred_at=event.occurred_at,
        stored_at=event.stored_at,
        text=event.text,
        attributes=event.attributes,
        group=group_of(event.code),
    )
