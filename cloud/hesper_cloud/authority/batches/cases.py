"""How each request about a batch is decided; every handler checks first and writes last."""

from collections.abc import Callable

from sqlalchemy import select, update

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import facts, rules, standing
from hesper_cloud.authority.batches import frozen, roll, waves
from hesper_cloud.authority.batches.proposing import propose
from hesper_cloud.authority.batches.recalling import recall
from hesper_cloud.authority.batches.releasing import LAPSED, has_lapsed, stop_tampered, why_stop
from hesper_cloud.authority.batches.states import HELD, MOVING, NEXT, RETRIED, move
from hesper_cloud.authority.batches.tally import follow_commands, forgive, tally
from hesper_cloud.authority.batches.wish import BatchWish, Terms
from hesper_cloud.authority.case import Asked, Case, Outcome, check_password
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.worded import worded

_TERMS = ("canary", "wave_size", "per_hour", "stop_percent", "waves", "soak_s")


def request_batch(case: Case) -> Outcome:
    """Freezes a batch, which then waits for a second person."""
    asked = case.asked
    meters = asked.payload.get("meters")
    if not isinstance(meters, list) or not all(isinstance(one, str) for one in meters):
        raise Denied("the request has no list of meters")
    batch = propose(
        case,
        BatchWish(
            kind=asked.text("kind"),
            meters=tuple(meters),
            reason=asked.text("reason"),
            parameters=asked.mapping("parameters"),
            terms=terms_of(asked),
        ),
    )
    return {"batch": batch.id, "digest": batch.digest}


def terms_of(asked: Asked) -> Terms:
    """Returns the terms that a request names; `propose` checks them.

    Raises:
        Denied: it names both a canary and waves, of which the first is the canary.
    """
    told = {name: asked.payload[name] for name in _TERMS if name in asked.payload}
    if told.get("waves") and told.get("canary"):
        raise Denied("name a canary or waves: the first wave is the canary")
    if isinstance(told.get("waves"), list):
        told["waves"] = tuple(told["waves"])
    return Terms(**told)


def approve_batch(case: Case) -> Outcome:
    """Lets a second person, by password, approve the hash that they were shown."""
    batch = _named(case)
    if batch.state != "awaiting_approval":
        raise Denied(worded("the batch is {state}", state=batch.state.replace("_", " ")))
    if case.now >= batch.approve_until:
        raise Denied("the time for approval is over")
    if case.asked.text("digest") != batch.digest:
        raise Denied("this is not the hash of the batch")
    user = _second_person(case, batch)
    if frozen.rows_digest(case.session, batch, case.give_way) != batch.digest:
        stop_tampered(case.session, batch, frozen.OTHER_ROWS, case.now)
        return _outcome(batch)
    batch.approver, batch.approved_at = user, case.now
    move(case.session, batch, case.step(_onward(batch), "approved"), case.now)
    return _outcome(batch)


def reject_batch(case: Case) -> Outcome:
    """Lets an approver turn a waiting batch down."""
    batch = _in(case, frozenset({"awaiting_approval"}))
    rules.require_user(case.session, case.asked.requested_by, Permission.APPROVE_COMMAND)
    move(case.session, batch, case.step("rejected", _why(case, "rejected")), case.now)
    return _outcome(batch)


def pause_batch(case: Case) -> Outcome:
    """Holds a batch: what has not been signed is taken back and waits."""
    batch = _in(case, frozenset(state for state in NEXT if "paused" in NEXT[state]))
    rules.require_user(case.session, case.asked.requested_by, Permission.REQUEST_COMMAND)
    move(case.session, batch, case.step("paused", _why(case, "paused")), case.now)
    recall(case.session, batch, "waiting", case.now)
    return _outcome(batch)


def abort_batch(case: Case) -> Outcome:
    """Ends a batch for good, at once; what has been signed cannot be called back."""
    batch = _in(case, frozenset(state for state in NEXT if "aborted" in NEXT[state]))
    rules.require_user(case.session, case.asked.requested_by, Permission.REQUEST_COMMAND)
    move(case.session, batch, case.step("aborted", _why(case, "aborted")), case.now)
    recall(case.session, batch, "withdrawn", case.now)
    return _outcome(batch)


def resume_batch(case: Case) -> Outcome:
    """Lets a held batch go on, by an approver's decision; what failed so far is forgiven.

    Where a wave or canary is over, that is the word on which the next begins; but not where it has
    come to its end, and to its stop, only since somebody paused it: that is said first.
    """
    batch = _in(case, HELD - {"quarantined"})
    was, since = batch.state, batch.updated_at
    forgiven = batch.forgiven_finished, batch.forgiven_failed
    outcome = _go_on(case, batch, "resumed")
    if batch.state in MOVING and waves.is_over(case.session, batch):
        counted = tally(case.session, batch.id)
        if was == "paused" and waves.has_ended_since(case.session, batch, since):
            batch.forgiven_finished, batch.forgiven_failed = forgiven
            if why_stop(batch, counted, 1) is not None:
                return outcome  # the next turn stops it
        waves.begin_next(case.session, batch, counted, case.asked.requested_by, case.now)
        return _outcome(batch)
    return outcome


def retry_batch(case: Case) -> Outcome:
    """Lets the rows that failed, and no others, go again, by an approver's decision."""
    batch = _in(case, (HELD - {"quarantined"}) | {"done"})
    follow_commands(case.session, case.now, case.give_way)
    failed = (BatchRow.batch == batch.id) & BatchRow.state.in_(RETRIED)
    if case.session.scalar(select(BatchRow.position).where(failed).limit(1)) is None:
        raise Denied("no row of this batch failed")
    outcome = _go_on(case, batch, "failed rows go again")
    if batch.state in MOVING:
        again = {"state": "waiting", "updated_at": case.now}
        case.session.execute(update(BatchRow).where(failed).values(**again))
        forgive(batch, tally(case.session, batch.id))
        batch.soaks_until = None
    return outcome


def release_batch(case: Case) -> Outcome:
    """Lets some more of a quarantined batch leave, by an approver's decision."""
    batch = _in(case, frozenset({"quarantined"}))
    more = case.policy.batches.disconnects
    outcome = _go_on(case, batch, f"{more} more may leave")
    if batch.state in MOVING:
        batch.allowance += more
    return outcome


HANDLERS: dict[str, Callable[[Case], Outcome]] = {
    "batch.propose": request_batch,
    "batch.approve": approve_batch,
    "batch.reject": reject_batch,
    "batch.pause": pause_batch,
    "batch.resume": resume_batch,
    "batch.abort": abort_batch,
    "batch.retry": retry_batch,
    "batch.release": release_batch,
}


def _go_on(case: Case, batch: Batch, why: str) -> Outcome:
    """Lets a batch that was held move again, as long as it is what was approved."""
    if has_lapsed(case.policy, batch, case.now):
        raise Denied(LAPSED)
    _check_stands(case, batch)
    _second_person(case, batch)
    edited = frozen.edited(case.session, batch, case.give_way)
    if edited is not None:
        stop_tampered(case.session, batch, edited, case.now)
        return _outcome(batch)
    follow_commands(case.session, case.now, case.give_way)
    forgive(batch, tally(case.session, batch.id))
    move(case.session, batch, case.step(_onward(batch), _why(case, why)), case.now)
    return _outcome(batch)


def _check_stands(case: Case, batch: Batch) -> None:
    """Checks that the batch has not moved since it was shown to whoever decides.

    Somebody else may have let it go on meanwhile, and it be held again: by a later wave, by rows
    that failed, or as many more have left.
    """
    if case.asked.payload.get("stood_at") not in (None, batch.updated_at.isoformat()):
        raise Denied("the batch has moved since it was shown; look how it stands now")


def _second_person(case: Case, batch: Batch) -> str:
    """Returns the name of an approver, other than the one who asked, who gave the password."""
    user = standing.require_approver(case)
    if user.username == batch.requester:
        raise Denied("the one who asked cannot approve")
    roll.check_areas(case, user, _meters(case, batch))
    if batch.kind in case.policy.stopped and facts.kill_switch_engaged(case.session):
        raise Denied("the kill switch is engaged")
    check_password(case, user, f"{batch.id} {batch.digest}")
    return user.username


def _meters(case: Case, batch: Batch) -> list[str]:
    rows = select(BatchRow.meter).where(BatchRow.batch == batch.id).order_by(BatchRow.position)
    return list(case.session.scalars(rows))


def _onward(batch: Batch) -> str:
    return "canary" if batch.canary and not batch.wave else "running"


def _named(case: Case) -> Batch:
    batch = case.session.get(Batch, case.asked.text("batch"))
    if batch is None:
        raise Denied("there is no such batch")
    return batch


def _in(case: Case, states: frozenset[str]) -> Batch:
    batch = _named(case)
    if batch.state not in states:
        raise Denied(worded("the batch is {state}", state=batch.state.replace("_", " ")))
    return batch


def _why(case: Case, otherwise: str) -> str:
    reason = case.asked.text("reason") if "reason" in case.asked.payload else ""
    return reason.strip() or otherwise


def _outcome(batch: Batch) -> Outcome:
    return {"batch": batch.id, "state": batch.state}
