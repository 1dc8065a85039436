"""Which gaps are asked for, and when: reachable meters first, a few at a time behind a gateway."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from hesper_cloud.authority.policy import JOBS
from hesper_cloud.db.registry import Backfill, Gap, Gateway, Meter, Request
from hesper_cloud.gaps.causes import REPORTS_NONE
from hesper_cloud.job_settings import BackfillSettings

ACTIVE = ("asked", "sent", "read")
"""States of backfills that are under way."""
_OF_A_GATEWAY = 100
_HOUR = timedelta(hours=1)
_TOGETHER = timedelta(days=1)
"""Gaps this close together are asked for in one range: rows in between come again for nothing."""


class Asking:
    """Chooses gaps and writes requests for them."""

    def __init__(self, settings: BackfillSettings) -> None:
        self._settings = settings
        self._longest = timedelta(days=settings.range_days)
        self._longest_wait = timedelta(seconds=max(settings.after_s, settings.retry_longest_s))

    def ask(self, session: Session, now: datetime) -> None:
        """Asks for what may be asked now.

        A meter that answers again first catches up by itself; the patience for that starts when it
        has been heard from after its gap.
        """
        active = session.scalars(select(Backfill).where(Backfill.state.in_(ACTIVE))).all()
        busy = Counter(backfill.gateway for backfill in active)
        busy_meters = {backfill.meter for backfill in active}
        lately = Counter(_asked_lately(session, now))
        everyone = set(busy) | set(lately)
        full = {gateway for gateway in everyone if self._is_full(gateway, busy, lately)}
        is_due = self._may_be_tried(now)
        for meter, gaps in _by_meter(session, is_due, full):
            gateway = str(meter.gateway_id)
            due = [gap for gap in gaps if self._is_due(gap, meter, now)]
            if not due or meter.id in busy_meters or self._is_full(gateway, busy, lately):
                continue
            session.add(self._backfill(session, meter, self._together(due), now))
            busy[gateway] += 1
            lately[gateway] += 1

    def take_back(self, session: Session, now: datetime) -> None:
        """Opens again what was given up for its age by a clock that was ahead."""
        by_age = Gap.state == "given_up", Gap.closed_at > now, Gap.cause != REPORTS_NONE
        again = {"state": "open", "closed_at": None, "reason": None}
        session.execute(update(Gap).where(*by_age).values(again))

    def give_up_old(self, session: Session, now: datetime) -> None:
        """Gives up what could not be asked for longer than meters remember."""
        days = self._settings.give_up_days
        old = select(Gap).where(Gap.state == "open", Gap.to_at < now - timedelta(days=days))
        for gap in session.scalars(old):
            last = f"; the last try: {gap.reason}" if gap.reason else ""
            gap.state, gap.closed_at = "given_up", now
            gap.reason = f"could not be read for {days} days{last}"

    def _is_full(self, gateway: str, busy: Counter[str], lately: Counter[str]) -> bool:
        return (
            busy[gateway] >= self._settings.gateway_in_flight
            or lately[gateway] >= self._settings.gateway_per_hour
        )

    def _is_due(self, gap: Gap, meter: Meter, now: datetime) -> bool:
        if meter.last_contact_at is None or meter.last_contact_at <= gap.to_at:
            return False
        if gap.next_try_at is None:
            gap.next_try_at = now + timedelta(seconds=self._settings.after_s)
        return not now < gap.next_try_at <= now + self._longest_wait

    def _may_be_tried(self, now: datetime) -> ColumnElement[bool]:
        """Returns the condition that a gap waits no longer; not for a clock that was ahead."""
        is_due = (Gap.next_try_at <= now) | (Gap.next_try_at > now + self._longest_wait)
        return Gap.next_try_at.is_(None) | is_due

    def _together(self, due: list[Gap]) -> list[Gap]:
        chosen = due[:1]
        for gap in due[1:]:
            same = gap.profile == chosen[0].profile
            near = gap.from_at - chosen[-1].to_at <= _TOGETHER
            if not (same and near and gap.to_at - chosen[0].from_at <= self._longest):
                break
            chosen.append(gap)
        return chosen

    def _backfill(self, session: Session, meter: Meter, gaps: list[Gap], now: datetime) -> Backfill:
        start, profile = gaps[0].from_at, gaps[0].profile
        end = min(gaps[-1].to_at, start + self._longest)
        payload = {
            "meter": meter.id,
            "profile": profile,
            "since": _text(start),
            "until": _text(end),
        }
        request = Request(
            kind="backfill.request", requested_by=JOBS, payload=payload, created_at=now
        )
        request.idempotency_key = f"backfill-{uuid.uuid4().hex}"
        session.add(request)
        session.flush()
        backfill = Backfill(
            gateway=meter.gateway_id,
            meter=meter.id,
            profile=profile,
            from_at=start,
            to_at=end,
            missing_count=sum(gap.expected_count for gap in gaps),
            state="asked",
            request_id=request.id,
            asked_at=now,
        )
        session.add(backfill)
        session.flush()
        for gap in gaps:
            gap.state, gap.backfill_id = "requested", backfill.id
        return backfill


def _asked_lately(session: Session, now: datetime) -> dict[str, int]:
    """Returns how many were asked for within the hour; what lies ahead is of a wrong clock."""
    in_the_hour = Backfill.asked_at > now - _HOUR, Backfill.asked_at <= now
    query = select(Backfill.gateway, func.count()).where(*in_the_hour)
    rows = session.execute(query.group_by(Backfill.gateway)).all()
    return {row[0]: int(row[1]) for row in rows}


def _by_meter(
    session: Session, is_due: ColumnElement[bool], full: Collection[str]
) -> Iterator[tuple[Meter, Iterable[Gap]]]:
    """Yields commissioned meters behind gateways that are there, with their open gaps in order.

    Some of each gateway, so that one with very many gaps never hides those of another.
    """
    under_way = select(Backfill.meter).where(Backfill.state.in_(ACTIVE))
    order = (Gap.meter, Gap.profile, Gap.from_at)
    place = func.row_number().over(partition_by=Meter.gateway_id, order_by=order)
    waiting = (
        select(Gap.id, place.label("place"))
        .join(Meter, Meter.id == Gap.meter)
        .join(Gateway, Gateway.id == Meter.gateway_id)
        .where(Gap.state == "open", Gateway.state == "online", Gateway.public_key.is_not(None))
        .where(Meter.logical_device_name.is_not(None), Meter.last_contact_at > Gap.to_at)
        .where(is_due)
        .where(Gateway.id.not_in(full), Gap.meter.not_in(under_way))
        .subquery()
    )
    query = (
        select(Gap, Meter)
        .join(waiting, waiting.c.id == Gap.id)
        .join(Meter, Meter.id == Gap.meter)
        .where(waiting.c.place <= _OF_A_GATEWAY)
        .order_by(*order)
    )
    rows = session.execute(query).all()
    for _, pairs in groupby(rows, key=lambda row: row[1].id):
        listed = list(pairs)
        yield listed[0][1], [row[0] for row in listed]


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
