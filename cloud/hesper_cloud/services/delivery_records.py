"""Targets, routes and messages of delivery, as services give them out; no secret among them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hesper_cloud.db.delivery import Delivery, DeliveryAttempt, DeliveryRoute, DeliveryTarget


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One place that alerts are told, and how it fares."""

    id: int
    name: str
    kind: str  # email | webhook | mqtt
    enabled: bool
    config: dict[str, Any]
    has_secret: bool
    version: int
    made_by: str
    changed_at: datetime
    succeeded_at: datetime | None
    failed_at: datetime | None
    failures: int  # since it last succeeded
    problem: str | None
    waiting: int  # messages that it has not taken yet


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A target that was set, with the secret that was made for it: it is shown this once."""

    target: TargetRow
    secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RouteRow:
    """Which alerts a target is told."""

    id: int
    name: str
    target: int
    enabled: bool
    policy: dict[str, Any]
    version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try to deliver a message."""

    at: datetime
    took_ms: int
    outcome: str  # sent | failed
    answer: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One message: what it tells, to whom, and what became of it."""

    id: int
    message_id: str
    target: int
    target_name: str
    route: int | None
    kind: str  # alert | digest | test
    state: str  # held | waiting | sent | muted | expired
    changes: int  # of alerts that it tells
    made_at: datetime
    due_at: datetime | None
    attempts: int
    sent_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test had for an answer."""

    delivered: bool
    answer: str


def target_row(target: DeliveryTarget, waiting: int) -> TargetRow:
    """Returns a stored target without its secret."""
    return TargetRow(
        id=target.id,
        name=target.name,
        kind=target.kind,
        enabled=target.enabled,
        config=target.config,
        has_secret=target.sealed_secret is not None,
        version=target.version,
        made_by=target.made_by,
        changed_at=target.changed_at,
        succeeded_at=target.succeeded_at,
        failed_at=target.failed_at,
        failures=target.failures,
        problem=target.problem,
        waiting=waiting,
    )


def route_row(route: DeliveryRoute) -> RouteRow:
    """Returns a stored route."""
    return RouteRow(
        id=route.id,
        name=route.name,
        target=route.target_id,
        enabled=route.enabled,
        policy=route.policy,
        version=route.version,
        changed_at=route.changed_at,
    )


def delivery_row(delivery: Delivery, target: str) -> DeliveryRow:
    """Returns a stored message."""
    return DeliveryRow(
        id=delivery.id,
        message_id=delivery.message_id,
        target=delivery.target_id,
        target_name=target,
        route=delivery.route_id,
        kind=delivery.kind,
        state=delivery.state,
        changes=len(delivery.entries.get("changes", ())),
        made_at=delivery.made_at,
        due_at=delivery.due_at,
        attempts=delivery.attempts,
        sent_at=delivery.sent_at,
        reason=delivery.reason,
    )


def attempt_row(attempt: DeliveryAttempt) -> AttemptRow:
    """Returns a stored attempt."""
    return AttemptRow(attempt.at, attempt.took_ms, attempt.outcome, attempt.answer)
