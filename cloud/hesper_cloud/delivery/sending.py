"""Sends what is due: each target in the order of its messages, one by one, until one fails.

A target that failed rests, twice as long with every failure and not to the second, so that many do
not come back at once; nothing is lost meanwhile. A message counts as delivered when its target has
taken it, and is noted after that: a crash in between delivers it twice, under the same id. What
could not be delivered for two weeks is given up, which is said and counted.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.alert_settings import DeliverySettings
from hesper_cloud.db.delivery import Delivery, DeliveryAttempt, DeliveryTarget
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.delivery import upkeep
from hesper_cloud.delivery.assembling import assembled
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.messages import Message, line
from hesper_cloud.delivery.routing import EXPIRED, FAILING, SENT, WAITING
from hesper_cloud.delivery.transports import Transports
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.worded import worded

log = logging.getLogger(__name__)
_PER_TURN = 20
_SIDE_BY_SIDE = 4
_LONGEST_TURN_S = 30.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one attempt."""

    delivery: int
    target: DeliveryTarget
    took_ms: int
    answer: str
    failed: bool
    wait_s: int = 0


class Sender:
    """Empties the outbox."""

    def __init__(
        self,
        engine: Engine,
        settings: DeliverySettings,
        clock: Callable[[], datetime],
        transports: Transports,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._transports = transports
        self._alerts = Alerts(engine, clock)
        self._pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="delivery")
        self._served: dict[int, Future[None]] = {}

    def turn(self) -> None:
        """Begins to serve the targets that do not rest; one that is slow holds up no other."""
        now = self._clock()
        self._served = {key: each for key, each in self._served.items() if not _is_over(each)}
        upkeep.expire(self._engine, self._settings, now)
        self._clear_removed(now)
        with reading(self._engine) as session:
            due = _due(session, now)
            targets = session.scalars(
                select(DeliveryTarget).where(DeliveryTarget.id.in_(list(due)))
            ).all()
        for target in targets:
            if target.id not in self._served and not self._rests(target, now):
                self._served[target.id] = self._pool.submit(self._serve, target, due[target.id])
        upkeep.measure(self._engine, now)

    def settle(self) -> None:
        """Waits for what has begun."""
        wait(self._served.values())

    def forget(self) -> None:
        """Removes messages that were settled long ago."""
        upkeep.forget(self._engine, self._settings, self._clock())

    def close(self) -> None:
        """Ends after what has begun."""
        self._pool.shutdown(cancel_futures=True)
        self._transports.close()

    def try_now(self, delivery: int) -> str:
        """Makes one attempt at once, as for a test; returns what was answered.

        Raises:
            NotDelivered: it failed.
        """
        with reading(self._engine) as session:
            row = session.get_one(Delivery, delivery)
            target = session.get_one(DeliveryTarget, row.target_id)
        outcome = self._attempt(target, delivery)
        self._note(outcome)
        if outcome.failed:
            raise NotDelivered(outcome.answer)
        return outcome.answer

    def _serve(self, target: DeliveryTarget, deliveries: Sequence[int]) -> None:
        began = time.monotonic()
        for delivery in deliveries:
            outcome = self._attempt(target, delivery)
            self._note(outcome)
            if outcome.failed or time.monotonic() - began > _LONGEST_TURN_S:
                return

    def _attempt(self, target: DeliveryTarget, delivery: int) -> _Outcome:
        with reading(self._engine) as session:
            message = assembled(session, delivery, self._settings.console_url)
        began = time.monotonic()
        failed, wait_s = False, 0
        try:
            answer = self._send(target, message)
        except NotDelivered as refusal:
            answer, failed, wait_s = str(refusal), True, refusal.wait_s
        took_ms = int((time.monotonic() - began) * 1000)
        return _Outcome(delivery, target, took_ms, line(answer), failed, wait_s)

    def _send(self, target: DeliveryTarget, message: Message | None) -> str:
        if message is None:
            return "nothing is left to tell: what it was about was erased"
        return self._transports.send(target, message)

    def _note(self, outcome: _Outcome) -> None:
        now, target = self._clock(), outcome.target
        metrics.DELIVERIES.labels(target.kind, "failed" if outcome.failed else "sent").inc()
        with writing(self._engine) as session:
            session.add(
                DeliveryAttempt(
                    delivery_id=outcome.delivery,
                    at=now,
                    took_ms=outcome.took_ms,
                    outcome="failed" if outcome.failed else "sent",
                    answer=outcome.answer,
                )
            )
            row = session.get_one(Delivery, outcome.delivery)
            kept = session.get_one(DeliveryTarget, target.id)
            row.attempts += 1
            if outcome.failed:
                self._failed(row, kept, outcome, now)
            else:
                row.state, row.sent_at, row.reason = SENT, now, None
                kept.succeeded_at, kept.failures, kept.problem = now, 0, None
            self._tell(session, kept, now)

    def _failed(
        self, row: Delivery, target: DeliveryTarget, outcome: _Outcome, now: datetime
    ) -> None:
        row.reason = outcome.answer
        target.failed_at, target.problem = now, outcome.answer
        target.failures += 1
        asked = timedelta(seconds=outcome.wait_s)
        if row.kind == "test":
            row.state = EXPIRED  # a person looks at it and asks again
        else:
            row.due_at = max(self._rests_until(target), now + asked)

    def _rests(self, target: DeliveryTarget, now: datetime) -> bool:
        """Says whether a target is left alone; not where the clock was set back behind its end."""
        is_past = target.failed_at is None or target.failed_at <= now
        return is_past and self._rests_until(target) > now

    def _rests_until(self, target: DeliveryTarget) -> datetime:
        """Returns until when a target is left alone; the same whoever asks."""
        if not target.failures or target.failed_at is None:
            return datetime.min.replace(tzinfo=self._clock().tzinfo)
        doubled = self._settings.retry_s * 2 ** min(target.failures - 1, 20)
        longest = min(doubled, self._settings.retry_longest_s)
        share = random.Random(f"{target.id} {target.failures}").uniform(0.5, 1)  # noqa: S311 - jitter
        return target.failed_at + timedelta(seconds=longest * share)

    def _tell(self, session: Session, target: DeliveryTarget, now: datetime) -> None:
        """Raises one alert for a target that fails, and clears it when it takes messages again."""
        subject = Subject(f"{FAILING}{target.name}")
        if target.failures >= self._settings.alarm_after_failures:
            waiting = session.scalar(
                select(func.count()).where(
                    Delivery.target_id == target.id, Delivery.state == WAITING
                )
            )
            text = worded(
                "Alerts are not delivered to {target}: {problem}. {waiting} messages wait; "
                "none is lost.",
                target=target.name,
                problem=target.problem,
                waiting=waiting or 0,
            )
            self._alerts.raise_(subject, "warning", text, at=now, session=session)
        elif not target.failures:
            self._alerts.clear(subject, at=now, session=session)

    def _clear_removed(self, now: datetime) -> None:
        """Clears the alerts of targets that are removed or have another name."""
        failing = self._alerts.open_subjects(FAILING)
        if not failing:
            return
        with reading(self._engine) as session:
            names = session.scalars(select(DeliveryTarget.name))
            kept = {Subject(f"{FAILING}{name}") for name in names}
        self._alerts.clear_all([(each, now) for each in failing - kept])


def _is_over(served: "Future[None]") -> bool:
    """Says whether a target was served; raises what broke there, but for a lost database."""
    if not served.done():
        return False
    try:
        served.result()
    except SQLAlchemyError as error:
        log.warning("delivery put off: %s", error)
    return True


def _due(session: Session, now: datetime) -> dict[int, list[int]]:
    """Returns by target which messages are due, those that waited longest first."""
    of_the_future = DeliveryTarget.failed_at > now  # the clock was set back
    query = (
        select(Delivery.target_id, Delivery.id)
        .join(DeliveryTarget, DeliveryTarget.id == Delivery.target_id)
        .where(DeliveryTarget.enabled, Delivery.state == WAITING)
        .where((Delivery.due_at <= now) | (Delivery.made_at > now) | of_the_future)
        .order_by(Delivery.due_at, Delivery.id)
    )
    found: dict[int, list[int]] = {}
    for target, delivery in session.execute(query):
        own = found.setdefault(target, [])
        if len(own) < _PER_TURN:
            own.append(delivery)
    return found
