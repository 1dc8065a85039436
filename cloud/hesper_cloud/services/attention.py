"""What needs attention: open alerts grouped by rule, commands and batches that wait for a person,
meters in service that were never heard from, before an alert tells of them, and meters that a
gateway could not read yet, which nobody else knows.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.alerting.children import is_shown
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.authority import Batch, CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert, Event, Meter
from hesper_cloud.gaps.causes import UNREACHABLE
from hesper_cloud.services import alert_queries
from hesper_cloud.services.alerts import SEVERITIES
from hesper_cloud.services.records import AttentionRow
from hesper_cloud.services.scope import narrowed, seen_meters, sees_batch
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import later, restored, worded

_SUBJECTS = 5
_LATELY = timedelta(days=1)
_MOST_UNREAD = 500
_BATCHES = {
    "batch-approval": ("awaiting_approval",),
    "batch-held": ("paused", "quarantined"),  # of those that stopped by themselves alerts tell
}
_UNREAD = later("gateway {gateway} could not read meter {meter}: {why}")
_UNREAD_AT = later("gateway {gateway} could not read meter {meter} at the hop {hop}: {why}")


def needs_attention(sources: Sources, actor: Actor, limit: int) -> list[AttentionRow]:
    """Returns the groups that the actor sees, worst first and oldest first within."""
    groups = [
        *_alerts(sources, actor),
        *_approvals(sources, actor),
        *_batches(sources, actor),
        *_unheard(sources, actor),
        *_unread(sources, actor),
    ]
    groups.sort(key=lambda row: (SEVERITIES.index(row.severity), row.oldest_at))
    return groups[:limit]


def _alerts(sources: Sources, actor: Actor) -> list[AttentionRow]:
    query = alert_queries.seen(select(Alert), actor)
    query = query.where(is_shown(), Alert.severity != "info")
    with reading(sources.registry) as session:
        alerts = session.scalars(query.order_by(Alert.raised_at)).all()
    groups: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        groups.setdefault((alert.rule, alert.severity), []).append(alert)
    return [
        _group(
            rule,
            severity,
            restored(members[0].text, members[0].said)
            if len(members) == 1
            else f"{rule}: {len(members)}",
            [(alert.raised_at, alert.meter or alert.gateway or "") for alert in members],
        )
        for (rule, severity), members in groups.items()
    ]


def _approvals(sources: Sources, actor: Actor) -> list[AttentionRow]:
    query = select(CommandRecord).where(CommandRecord.state == "awaiting_approval")
    with reading(sources.authority) as session:
        waiting = session.scalars(query.order_by(CommandRecord.created_at)).all()
    seen = seen_meters(sources.registry, actor, [command.meter for command in waiting])
    members = [(command.created_at, command.meter) for command in waiting if command.meter in seen]
    text = f"{len(members)} command(s) wait for approval"
    return [_group("approval", "warning", text, members)] if members else []


def _batches(sources: Sources, actor: Actor) -> list[AttentionRow]:
    """Returns the batches that go on by a person's word alone; their subjects are their kinds."""
    told = select(Batch.id, Batch.state, Batch.kind, Batch.updated_at)
    waiting = told.where(Batch.state.in_([each for some in _BATCHES.values() for each in some]))
    with reading(sources.authority) as session:
        found = session.execute(waiting.order_by(Batch.updated_at)).all()
    engines = sources.registry, sources.authority
    seen = [row for row in found if sees_batch(*engines, actor, row.id)]
    groups = []
    for cause, states in _BATCHES.items():
        members = [(row.updated_at, row.kind) for row in seen if row.state in states]
        if members:
            text = f"{len(members)} batch(es) wait for a person"
            groups.append(_group(cause, "warning", text, members))
    return groups


def _unheard(sources: Sources, actor: Actor) -> list[AttentionRow]:
    told = select(Alert.meter).where(Alert.meter == Meter.id, Alert.state != "cleared")
    waiting = (Meter.last_contact_at.is_(None), in_service(), ~told.exists())
    counted = select(func.count(), func.min(Meter.first_seen_at)).select_from(Meter)
    first = select(Meter.id).order_by(Meter.first_seen_at, Meter.id).limit(_SUBJECTS)
    with reading(sources.registry) as session:
        count, oldest_at = session.execute(narrowed(counted.where(*waiting), actor)).one()
        if not count:
            return []
        subjects = tuple(session.scalars(narrowed(first.where(*waiting), actor)))
    text = f"{count} meter(s) in service were never heard from"
    return [AttentionRow("never-heard", "info", count, oldest_at, text, subjects)]


def _unread(sources: Sources, actor: Actor) -> list[AttentionRow]:
    """Returns the meters that gateways could not read lately and that are not in the registry."""
    if actor.areas is not None:
        return []  # such a meter is in no area
    tried = (
        select(Event)
        .where(Event.code == UNREACHABLE, Event.occurred_at > sources.clock() - _LATELY)
        .where(~select(Meter.id).where(Meter.id == Event.meter).exists())
        .order_by(Event.occurred_at.desc())
    )
    with reading(sources.registry) as session:
        newest = session.scalars(tried.limit(_MOST_UNREAD)).all()
    by_meter = {event.meter: event for event in reversed(newest) if event.meter}
    members = sorted((event.occurred_at, meter) for meter, event in by_meter.items())
    texts = [_why_unread(event) for event in by_meter.values()]
    text = texts[0] if len(texts) == 1 else f"{len(texts)} meters could not be read yet"
    return [_group("never-read", "warning", text, members)] if members else []


def _why_unread(event: Event) -> str:
    hop = event.attributes.get("hop", "")
    told = {"gateway": event.gateway, "meter": event.meter, "why": event.text}
    return worded(_UNREAD_AT, hop=hop, **told) if hop else worded(_UNREAD, **told)


def _group(
    cause: str, severity: str, text: str, members: Sequence[tuple[datetime, str]]
) -> AttentionRow:
    return AttentionRow(
        cause=cause,
        severity=severity,
        count=len(members),
        oldest_at=members[0][0],
        text=text,
        subjects=tuple(subject for _, subject in members[:_SUBJECTS]),
    )
