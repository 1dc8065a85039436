"""Break-glass: one person alone in an emergency, with notice to all and a review by another.

The kinds, the count and the deadline of the review are the policy's. Hours, weather and the second
person are left out; protected supplies, budgets, the kill switch and the gateway's own ceilings
are not. Every use is a critical alert until somebody else has signed a review of it.
"""

from datetime import timedelta

from sqlalchemy import func, select

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import rules, second_factor, standing
from hesper_cloud.authority.case import Case, Outcome, check_password, command_subject
from hesper_cloud.authority.drafting import draft, send_to_queue
from hesper_cloud.authority.kinds import KINDS
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import User
from hesper_cloud.db.decisions import BreakGlass
from hesper_cloud.worded import worded

_DAY = timedelta(days=1)
_VERDICTS = frozenset({"justified", "misused"})


def break_glass(case: Case) -> Outcome:
    """Queues a command in the name of one person, who proves who they are."""
    asked, kind = case.asked, case.asked.text("kind")
    _, parameters = rules.check_parameters(kind, asked.mapping("parameters"))
    user = rules.require_user(case.session, asked.requested_by, Permission.REQUEST_COMMAND)
    meter_id, reason = asked.text("meter"), asked.text("reason").strip()
    standing.check_counts(case, user)
    _check_allowed(case, kind, user)
    rules.check_words(kind, meter_id, reason, asked.text("serial_tail"))
    if not reason:
        raise Denied("a reason is required")
    check_password(case, user, command_subject(kind, meter_id))
    meter = case.addressee(kind)
    rules.check_area(case.registry, user, meter)
    rules.check_sendable(case.session, case.policy, kind, meter, case.now)
    command = draft(case, kind, meter, reason, parameters)
    case.note("break_glass", command.id, "", f"{kind} {meter_id} by one person alone", reason)
    terms = case.policy.break_glass
    case.session.add(
        BreakGlass(
            command=command.id,
            username=user.username,
            reason=reason,
            at=case.now,
            review_until=case.now + timedelta(seconds=terms.review_s),
        )
    )
    begin_s = max(case.policy.expiry_s, KINDS[kind].begin_s)
    send_to_queue(case, command, "break-glass", case.now + timedelta(seconds=begin_s))
    return {"command": command.id}


def review(case: Case) -> Outcome:
    """Keeps what another person says of a use, by password."""
    use = case.session.get(BreakGlass, case.asked.text("command"))
    if use is None:
        raise Denied("no glass was broken for this command")
    if use.reviewed_at is not None:
        raise Denied(worded("{reviewed_by} has reviewed it", reviewed_by=use.reviewed_by))
    user = standing.require_approver(case)
    if user.username == use.username:
        raise Denied("another person must review it")
    verdict, words = case.asked.text("verdict"), case.asked.text("reason").strip()
    if verdict not in _VERDICTS:
        raise Denied(
            worded("a verdict is one of {verdicts}", verdicts=", ".join(sorted(_VERDICTS)))
        )
    if len(words) < 3:
        raise Denied("a reason is required")
    check_password(case, user, use.command)
    case.note("break_glass.review", use.command, "unreviewed", verdict, words)
    use.reviewed_by, use.reviewed_at = user.username, case.now
    use.verdict, use.review = verdict, words
    return {"command": use.command, "verdict": verdict}


def _check_allowed(case: Case, kind: str, user: User) -> None:
    terms = case.policy.break_glass
    if kind not in terms.kinds:
        raise Denied(worded("the policy lets nobody do {kind} alone", kind=kind))
    if terms.needs_factor:
        _check_factor(case, user)
    lately = select(func.count()).where(
        BreakGlass.username == user.username, BreakGlass.at > case.now - _DAY
    )
    if (case.session.scalar(lately) or 0) >= terms.per_day:
        raise Denied(worded("{per_day} a day for one account are used up", per_day=terms.per_day))


def _check_factor(case: Case, user: User) -> None:
    """Checks that there is a factor, and that it was not enrolled for this very purpose."""
    factor = second_factor.of(case.session, user.username)
    if factor is None:
        raise Denied("without a second factor nobody breaks the glass")
    counts_from = factor.enrolled_at + timedelta(seconds=case.policy.break_glass.factor_age_s)
    if case.now < counts_from:
        at = counts_from.isoformat(timespec="minutes")
        raise Denied(
            worded("the second factor is too new to break the glass; it may from {at}", at=at)
        )
