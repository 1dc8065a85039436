"""The web process's own word on disconnects: it refuses what no budget has room for.

It counts what was signed and what still waits. Its own limits come from its settings, the others
from the policy; the lowest holds. The authority counts again, and so does the gateway.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts
from hesper_cloud.authority.kinds import CUTTING
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.authority import BudgetUse, CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.services.errors import Refused
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import WebSettings
from hesper_cloud.worded import worded

_WAITING = ("awaiting_approval", "quarantined", "queued")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def check(sources: Sources, kind: str) -> None:
    """Checks that one more disconnect has room.

    Raises:
        Refused: a budget is used up.
    """
    if kind not in CUTTING:
        return
    with reading(sources.authority) as session:
        policy = facts.active_policy(session)
        _check(session, policy, sources.settings.web, sources.clock())


def _check(session: Session, policy: Policy, web: WebSettings, now: datetime) -> None:
    waiting = select(func.count()).where(
        CommandRecord.kind.in_(CUTTING), CommandRecord.state.in_(_WAITING)
    )
    ahead = session.scalar(waiting) or 0
    limits = (
        (min(policy.disconnects.per_hour, web.disconnects_per_hour), _HOUR, "an hour"),
        (min(policy.disconnects.per_day, web.disconnects_per_day), _DAY, "a day"),
    )
    for limit, span, words in limits:
        used = select(func.count()).select_from(BudgetUse).where(BudgetUse.at > now - span)
        if (session.scalar(used) or 0) + ahead >= limit:
            raise Refused(
                worded(
                    "the budget of {limit} disconnects {words} is used up or spoken for",
                    limit=limit,
                    words=words,
                )
            )
