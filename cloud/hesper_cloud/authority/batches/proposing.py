"""A wish becomes a frozen batch: every meter looked up, excluded by cause, and hashed."""

import uuid
from datetime import timedelta

from sqlalchemy import insert

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import rules, standing
from hesper_cloud.authority.batches import frozen, roll, waves
from hesper_cloud.authority.batches.wish import BatchWish
from hesper_cloud.authority.case import Case
from hesper_cloud.authority.kinds import CUTTING, KINDS
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.worded import worded, wording

_PER_WRITE = 5_000


def propose(case: Case, wish: BatchWish) -> Batch:
    """Freezes a batch in the name of the one who asked; it waits for a second person.

    Handlers of other kinds of request may call it: whatever comes out is an ordinary batch.

    Raises:
        Denied: the account, the parameters, the terms or the number of meters do not allow it.
    """
    user = rules.require_user(case.session, case.asked.requested_by, Permission.REQUEST_COMMAND)
    standing.check_counts(case, user)
    wanted, parameters = rules.check_parameters(wish.kind, wish.parameters)
    if KINDS[wish.kind].one_by_one:
        raise Denied(
            worded(
                "{kind} is asked of one meter at a time: what comes back is long", kind=wish.kind
            )
        )
    rules.check_range(wanted, case.policy.backfills, case.now)
    wish.terms.check()
    if len(wish.reason.strip()) < 3:
        raise Denied("a reason is required")
    _check_meters(case, wish)
    roll.check_areas(case, user, wish.meters if not KINDS[wish.kind].at_gateway else ("",))
    batch = Batch(
        id=str(uuid.uuid4()),
        kind=wish.kind,
        parameters=parameters,
        reason=wish.reason.strip(),
        requester=user.username,
        canary=wish.terms.canary,
        wave_size=wish.terms.wave_size,
        per_hour=wish.terms.per_hour,
        stop_percent=wish.terms.stop_percent,
        soak_s=wish.terms.soak_s,
        wave=0,
        digest="",
        state="awaiting_approval",
        proposed_at=case.now,
        updated_at=case.now,
        approve_until=case.now + timedelta(seconds=case.policy.batches.approval_window_s),
        allowance=0,
    )
    rows = _called(case, wish)
    left_out = sum(row[-1] is not None for row in rows)
    if wish.terms.waves:
        batch.waves = waves.ends(wish.terms.waves, len(rows) - left_out)
        batch.canary = batch.waves[0]
    batch.digest = frozen.digest(batch, rows)
    batch.allowance = case.policy.batches.disconnects if wish.kind in CUTTING else len(rows)
    told = f"{wish.kind} for {len(rows)} meters, {left_out} excluded: {batch.digest}"
    case.note("batch.propose", f"batch {batch.id}", "", told, batch.reason)
    case.session.add(batch)
    case.session.flush()
    _store(case, batch, rows)
    return batch


def _called(case: Case, wish: BatchWish) -> list[frozen.Frozen]:
    """Returns the rows of a wish; what rules one out counts beside what the roll knows."""
    return [
        (position, meter, gateway, area, excluded or wish.unfit.get(meter or gateway or ""))
        for position, meter, gateway, area, excluded in roll.called(case, wish.kind, wish.meters)
    ]


def _check_meters(case: Case, wish: BatchWish) -> None:
    most = case.policy.batches.rows
    if not 0 < len(wish.meters) <= most:
        raise Denied(
            worded("a batch has 1 to {most} meters, not {count}", most=most, count=len(wish.meters))
        )
    if len(set(wish.meters)) != len(wish.meters):
        raise Denied("a meter is named twice")


def _store(case: Case, batch: Batch, rows: list[frozen.Frozen]) -> None:
    for start in range(0, len(rows), _PER_WRITE):
        case.give_way()
        case.session.execute(
            insert(BatchRow),
            [
                {
                    "batch": batch.id,
                    "position": position,
                    "meter": meter,
                    "gateway": gateway,
                    "area": area,
                    "excluded": excluded and str(excluded),
                    "said": wording(excluded),
                    "state": "waiting" if excluded is None else "excluded",
                    "tries": 0,
                    "updated_at": case.now,
                }
                for position, meter, gateway, area, excluded in rows[start : start + _PER_WRITE]
            ],
        )
