"""What the authority itself calls people for: too many asked for, unreviewed use, a deaf broker.

An alert is a row of the registry, as every rule's. Whoever can write the registry can take it away
again, so each is audited first, where nobody can.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, Select, func, or_, select
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.alerting.raising import Subject, Telling, clear_all, raise_all
from hesper_cloud.authority import broker_accounts, facts, revocations
from hesper_cloud.authority.kinds import CUTTING
from hesper_cloud.authority.policy import JOBS, Policy
from hesper_cloud.db.authority import AuditRow, CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.db.decisions import BreakGlass
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert
from hesper_cloud.worded import later, worded

SELF = "authority"
RATE = "disconnect-rate"
USED = "break-glass"
OVERDUE = "break-glass-unreviewed"
NOTED_REFUSAL = "disconnect.refused"
"""As the web process notes what it refused by itself."""
BATCH = "batch"
_ASKED = ("command.request", "command.break_glass", "batch.propose")
_TOLD_FOR = timedelta(days=7)
_LOOK_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Due:
    """An alert that has to be open now; the rule names its subject, too."""

    rule: str
    text: str


_ALONE = later("{who} alone let command {command} go: {reason}. Another person must review it.")
_ALONE_METER = later(
    "{who} alone let {kind} of {meter} go: {reason}. Another person must review it."
)


class Alarms:
    """Looks every few seconds; raises each alert once and clears it when its cause is over."""

    def __init__(
        self,
        registry: Engine,
        authority: Engine,
        troubles: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Takes what returns the texts of troubles that no table tells, by rule."""
        self._registry = registry
        self._authority = authority
        self._troubles = troubles
        self._looked_at: datetime | None = None
        self._open: frozenset[str] | None = None

    def turn(self, now: datetime) -> None:
        """Brings the alerts of this authority up to date."""
        if self._looked_at is not None and abs(now - self._looked_at) < _LOOK_EVERY:
            return
        self._looked_at = now
        with reading(self._authority) as session:
            due = _due(session, facts.active_policy(session), now)
        due += [_Due(rule, text) for rule, text in self._troubles().items()]
        rules = frozenset(each.rule for each in due)
        if rules == self._open:
            return
        with reading(self._registry) as session:
            known = frozenset(session.scalars(_of_authority()))
        new = [each for each in due if each.rule not in known]
        self._audit(new, now)
        self._write(new, known - rules, now)
        self._open = rules

    def _audit(self, new: list[_Due], now: datetime) -> None:
        if new:
            with writing(self._authority) as session:
                for each in new:
                    entry = audit.Entry(SELF, "alarm", each.rule, why=each.text)
                    audit.append(session, now, entry)

    def _write(self, new: list[_Due], over: frozenset[str], now: datetime) -> None:
        told = [Telling(Subject(each.rule), "critical", each.text, now) for each in new]
        with writing(self._registry) as session:
            raise_all(session, told, now)
            clear_all(session, [(Subject(rule), now) for rule in sorted(over)], now)


def _of_authority() -> Select[str]:
    ours = or_(*(Alert.rule.startswith(name) for name in (f"{RATE}/", USED, f"{BATCH}/")))
    ours |= Alert.rule.in_((broker_accounts.RULE, revocations.RULE))
    return select(Alert.rule).where(ours, Alert.state != "cleared")


def _due(session: Session, policy: Policy, now: datetime) -> list[_Due]:
    return [*_too_often(session, policy, now), *_unreviewed(session, now), *_batches(session, now)]


def _too_often(session: Session, policy: Policy, now: datetime) -> list[_Due]:
    """Returns an alert for every account that asks for more disconnects than anybody should."""
    limits = policy.disconnects
    since = now - timedelta(seconds=limits.alarm_within_s)
    return [
        _Due(
            f"{RATE}/{account}",
            worded(
                "{account} has asked for {count} disconnects within {seconds} s.",
                account=account,
                count=count,
                seconds=limits.alarm_within_s,
            ),
        )
        for account, count in sorted(_asked(session, since).items())
        if count >= limits.alarm_requests
    ]


def _asked(session: Session, since: datetime) -> Counter[str]:
    """Returns by account how many disconnects were asked for, refused ones and batches too."""
    singles = select(CommandRecord.requester, func.count()).where(
        CommandRecord.kind.in_(CUTTING),
        CommandRecord.created_at > since,
        CommandRecord.batch.is_(None),
        CommandRecord.requester != JOBS,
    )
    to_cut = or_(*(AuditRow.subject.startswith(f"{kind} ") for kind in CUTTING))
    refused = select(AuditRow.actor, func.count()).where(
        AuditRow.at > since,
        (AuditRow.action == "request.refused") & AuditRow.after.in_(_ASKED) & to_cut
        | (AuditRow.action == NOTED_REFUSAL),
    )
    rows = (
        select(Batch.requester, func.count())
        .join(BatchRow, BatchRow.batch == Batch.id)
        .where(Batch.kind.in_(CUTTING), Batch.proposed_at > since)
    )
    found: Counter[str] = Counter()
    for query, account in (
        (singles, CommandRecord.requester),
        (refused, AuditRow.actor),
        (rows, Batch.requester),
    ):
        for name, count in session.execute(query.group_by(account)):
            found[name] += count
    return found


def _unreviewed(session: Session, now: datetime) -> list[_Due]:
    query = select(BreakGlass, CommandRecord.kind, CommandRecord.meter)
    query = query.outerjoin(CommandRecord, CommandRecord.id == BreakGlass.command)
    query = query.where(BreakGlass.reviewed_at.is_(None)).order_by(BreakGlass.at)
    due = []
    for use, kind, meter in session.execute(query):
        text = worded(
            _ALONE_METER if meter else _ALONE,
            who=use.username,
            kind=kind or "",
            meter=meter or "",
            command=use.command,
            reason=use.reason,
        )
        due.append(_Due(f"{USED}/{use.command}", text))
        if now >= use.review_until:
            words = later("Nobody has reviewed command {command}, which {who} let go alone.")
            text = worded(words, command=use.command, who=use.username)
            due.append(_Due(f"{OVERDUE}/{use.command}", text))
    return due


def _batches(session: Session, now: datetime) -> list[_Due]:
    """Returns an alert for every batch that stopped by itself, or was edited, within a week."""
    query = select(Batch).where(
        Batch.state.in_(("stopped", "tampered")), Batch.updated_at > now - _TOLD_FOR
    )
    return [
        _Due(
            f"{BATCH}/{batch.id}",
            worded(
                "Batch of {kind} is {state}: {detail}.",
                kind=batch.kind,
                state=batch.state,
                detail=batch.detail,
            ),
        )
        for batch in session.scalars(query.order_by(Batch.id))
    ]
