"""Lets the rows of approved batches go: canary, waves, rate, and the stop by itself.

Each turn is one transaction. A row becomes a queued command in the same transaction in which it
stops waiting; the dispatcher signs it like any other. No more are queued than it signs meanwhile:
whoever pauses a batch, or sets the kill switch, has them taken back at once.
"""

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, Select, exists, func, select
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.authority import facts, life, timing
from hesper_cloud.authority.batches import choosing, frozen, waves
from hesper_cloud.authority.batches.choosing import Held
from hesper_cloud.authority.batches.recalling import recall, to_withdraw, withdraw_some
from hesper_cloud.authority.batches.states import FINISHED, MOVING, UNSETTLED, move
from hesper_cloud.authority.batches.tally import Tally, failed_share, follow_commands, tally
from hesper_cloud.authority.giving_way import GiveWay, looking_up
from hesper_cloud.authority.kinds import CUTTING, KINDS
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.spacing import Spacing
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.images import wish
from hesper_cloud.worded import later, worded

SELF = "authority"
LAPSED = later("its approval is too old to cut a supply; propose it anew")
_BEAT = timedelta(seconds=0.5)
_LONGEST = 1.5  # of the distance that the rate says
_MOST_QUEUED = 500  # of one batch: about what is signed from one release to the next
_RANDOM = random.SystemRandom()


class BatchDesk:
    """Moves every approved batch on by one step."""

    def __init__(
        self,
        registry: Engine,
        authority: Engine,
        approvals: frozen.Approvals,
        spacing: Spacing,
        give_way: GiveWay,
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._approvals = approvals
        self._spacing = spacing
        self._give_way = give_way

    def turn(self, now: datetime) -> None:
        """Settles rows, stops or ends batches, and releases the rows whose turn it is.

        Raises:
            GivesWay: the kill switch waits; nothing is done.
        """
        self._give_way()
        if not self._has_work(now):
            return
        with writing(self._authority) as session:
            follow_commands(session, now, self._give_way)
            policy = facts.active_policy(session)
            held = Held(session, self._registry, policy, now, self._spacing, self._give_way)
            for batch in session.scalars(_expired(now)).all():
                step = life.Move("expired", SELF, "nobody approved it in time")
                move(session, batch, step, now)
            moving = session.scalars(select(Batch).where(Batch.state.in_(MOVING))).all()
            self._approvals.keep(batch.id for batch in moving)
            for batch in moving:
                advance(held, batch, self._approvals)
            for ended in session.scalars(to_withdraw()).all():
                withdraw_some(session, ended, now)

    def is_moving(self) -> bool:
        """Says whether a batch is under way, so that time alone matters."""
        with reading(self._authority) as session:
            moving = select(exists().where(Batch.state.in_(MOVING)))
            return bool(session.scalar(moving)) or _is_withdrawing(session)

    def _has_work(self, now: datetime) -> bool:
        unsettled = exists().where(
            BatchRow.state.in_(UNSETTLED),
            BatchRow.command == CommandRecord.id,
            CommandRecord.state.in_(FINISHED),
            CommandRecord.state != BatchRow.state,
        )
        paces = select(Batch.next_release_at, Batch.per_hour).where(Batch.state.in_(MOVING))
        with reading(self._authority) as session:
            moving = session.execute(paces).all()
            late = select(_expired(now).exists())
            return (
                not all(_is_early(next_at, per_hour, now) for next_at, per_hour in moving)
                or bool(session.scalar(select(unsettled)))
                or bool(session.scalar(late))
                or _is_withdrawing(session)
            )


def _is_withdrawing(session: Session) -> bool:
    return bool(session.scalar(select(to_withdraw().exists())))


def advance(held: Held, batch: Batch, approvals: frozen.Approvals) -> None:
    """Moves one batch that is under way: to its end, to a stop, or by some rows."""
    session, now = held.session, held.now
    if has_lapsed(held.policy, batch, now):
        move(session, batch, life.Move("aborted", SELF, LAPSED), now)
        recall(session, batch, "withdrawn", now)
        return
    counted = tally(session, batch.id)
    wave_is_over = waves.is_over(session, batch)
    least = 1 if wave_is_over else held.policy.batches.least_finished
    stop = why_stop(batch, counted, least)
    if stop is not None:
        move(session, batch, life.Move("stopped", SELF, stop), now)
        recall(session, batch, "waiting", now)
        return
    if not counted.waiting and not counted.under_way:
        move(session, batch, life.Move("done", SELF, _in_words(counted)), now)
        return
    if wave_is_over and not waves.go_on(session, batch, counted, now):
        return
    _release(held, batch, counted, approvals)


def has_lapsed(policy: Policy, batch: Batch, now: datetime) -> bool:
    """Says whether a batch that cuts supplies was approved too long ago to go on."""
    if batch.kind not in CUTTING or batch.approved_at is None:
        return False
    return now - batch.approved_at > timedelta(seconds=policy.batches.cuts_for_s)


def why_stop(batch: Batch, counted: Tally, least: int) -> str | None:
    failed, finished = failed_share(batch, counted)
    if finished < least or failed * 100 <= batch.stop_percent * finished:
        return None
    return worded(
        "{failed} of {finished} rows failed, more than {percent} %",
        failed=failed,
        finished=finished,
        percent=batch.stop_percent,
    )


def _release(held: Held, batch: Batch, counted: Tally, approvals: frozen.Approvals) -> None:
    session, policy, now = held.session, held.policy, held.now
    if _must_wait(held, batch):
        return
    if counted.waiting and counted.left >= batch.allowance:
        words = later("{left} have left; the other {waiting} wait for a decision")
        why = worded(words, left=counted.left, waiting=counted.waiting)
        move(session, batch, life.Move("quarantined", SELF, why), now)
        return
    room = min(
        batch.wave_size - counted.under_way,
        batch.allowance - counted.left,
        _due(batch, now),
        _MOST_QUEUED - _queued(session, batch),
    )
    rows = choosing.next_rows(held, batch, room) if room > 0 else ()
    if not rows:
        return
    edited = approvals.edited(session, batch, rows, now)
    if edited is not None:
        stop_tampered(session, batch, edited, now)
        return
    for row in looking_up(rows, held.give_way):
        _let_go(session, policy, batch, row, now)
    _take_rate(batch, len(rows), now)


def _queued(session: Session, batch: Batch) -> int:
    """Returns how many of its commands nobody has signed yet."""
    queued = (CommandRecord.state == "queued") & (CommandRecord.batch == batch.id)
    return session.scalar(select(func.count()).where(queued)) or 0


def _must_wait(held: Held, batch: Batch) -> bool:
    """Says whether rate, kill switch or the batch's own time or window hold it now."""
    if _is_early(batch.next_release_at, batch.per_hour, held.now):
        return True
    if timing.is_early(batch.kind, batch.parameters, held.now):
        return True
    if batch.kind in held.policy.stopped and facts.kill_switch_engaged(held.session):
        return True
    return wish.open_until(batch.parameters, held.now) is None


def stop_tampered(session: Session, batch: Batch, why: str, now: datetime) -> None:
    """Ends a batch that is not what was approved; what has not been signed never leaves."""
    move(session, batch, life.Move("tampered", SELF, why), now)
    recall(session, batch, "withdrawn", now)


def _let_go(session: Session, policy: Policy, batch: Batch, row: BatchRow, now: datetime) -> None:
    """Turns a row into a queued command in the names of those who asked and approved."""
    row.tries += 1
    command = CommandRecord(
        id=str(uuid.uuid5(uuid.UUID(batch.id), f"{row.position}/{row.tries}")),
        kind=batch.kind,
        meter=row.meter,
        gateway=row.gateway,
        parameters=batch.parameters,
        state="draft",
        requester=batch.requester,
        approver=batch.approver,
        reason=batch.reason,
        created_at=now,
        updated_at=now,
        batch=batch.id,
    )
    told = f"draft: row {row.position + 1} of batch {batch.id}"
    entry = audit.Entry(
        batch.requester, "command.draft", life.subject(command), "", told, batch.reason
    )
    audit.append(session, now, entry)
    session.add(command)
    expiry_s = max(policy.expiry_s, KINDS[batch.kind].begin_s)
    step = life.Move("queued", batch.approver or SELF, f"approved with batch {batch.id}")
    begins_at = timing.begins_at(batch.kind, batch.parameters, now)
    until = begins_at + timedelta(seconds=expiry_s)
    if KINDS[batch.kind].within_window:
        until = min(until, wish.open_until(batch.parameters, begins_at) or until)
    life.move(session, command, step, now, queued_at=now, not_after=until)
    row.state, row.command, row.detail, row.said = "released", command.id, None, None
    row.released_at = row.updated_at = batch.updated_at = now


def _due(batch: Batch, now: datetime) -> int:
    """Returns how many rows the rate lets go now; time that was missed is not made up for."""
    since = _BEAT if batch.next_release_at is None else now - batch.next_release_at
    lately = min(max(since, timedelta(0)), 2 * _BEAT) / timedelta(hours=1)
    return 1 + int(lately * batch.per_hour)


def _is_early(next_at: datetime | None, per_hour: int, now: datetime) -> bool:
    """Says whether the rate lets nothing go yet.

    What lies further ahead than the rate puts anything off is of before the clock was set back.
    """
    longest = max(_BEAT, timedelta(hours=1) / per_hour * _LONGEST)
    return next_at is not None and timedelta(0) < next_at - now <= longest


def _take_rate(batch: Batch, count: int, now: datetime) -> None:
    """Puts the next release off by about what the rate says, never by exactly that."""
    distance = timedelta(hours=1) / batch.per_hour * _RANDOM.uniform(0.5, _LONGEST)
    batch.next_release_at = now + (max(_BEAT, distance) if count > 1 else distance)


def _expired(now: datetime) -> Select[Batch]:
    return select(Batch).where(Batch.state == "awaiting_approval", Batch.approve_until <= now)


def _in_words(counted: Tally) -> str:
    states: Sequence[tuple[str, int]] = sorted(counted.by_state.items())
    return ", ".join(f"{count} {state}" for state, count in states)
