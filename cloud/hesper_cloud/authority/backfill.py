"""What the gap ledger asks for: ranges of profiles, read again without a person's approval.

Whoever can write the registry can write such a request, so nothing in it is believed: the kind is
fixed, its parameters are those of the contract, the range is bounded, and how much leaves for a
meter and behind a gateway is counted in the authority's own database. Reading is all it can cause.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import life, rules
from hesper_cloud.authority.case import Case, Outcome
from hesper_cloud.authority.drafting import draft, queue
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.kinds import READ_PROFILE
from hesper_cloud.authority.policy import JOBS, BackfillLimits
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.registry import CLOCK_TOLERANCE
from hesper_cloud.worded import worded

_HOUR = timedelta(hours=1)


def request_backfill(case: Case) -> Outcome:
    """Turns a request of the gap ledger into a queued command."""
    asked = case.asked
    if asked.requested_by != JOBS:
        raise Denied("only the gap ledger asks for a backfill")
    given = {name: asked.text(name) for name in ("profile", "since", "until")}
    limits = case.policy.backfills
    wanted, parameters = rules.check_parameters(READ_PROFILE, given)
    rules.check_range(wanted, limits, case.now)
    meter = case.meter(asked.text("meter"))
    rules.check_sendable(case.session, case.policy, READ_PROFILE, meter, case.now)
    check_rate(case.session, limits, meter, case.now)
    command = draft(case, READ_PROFILE, meter, "captures are missing", parameters)
    queue(case, command, "", limits.expiry_s)
    return {"command": command.id}


def check_rate(session: Session, limits: BackfillLimits, meter: MeterFacts, now: datetime) -> None:
    """Checks how much is on its way and has left within the hour.

    Raises:
        Denied: a limit is reached; ask again later.
    """
    behind = CommandRecord.gateway == meter.gateway
    lately = CommandRecord.created_at.between(now - _HOUR, now + CLOCK_TOLERANCE)
    pending = CommandRecord.state.in_(life.PENDING)
    whatever = CommandRecord.state.in_(life.NEXT)  # every state: so the index finds the hour
    checks = (
        (limits.gateway_in_flight, behind & pending, f"on their way to {meter.gateway}"),
        (limits.gateway_per_hour, behind & whatever & lately, f"an hour behind {meter.gateway}"),
        (limits.meter_per_hour, (CommandRecord.meter == meter.id) & lately, "an hour for a meter"),
        (1, (CommandRecord.meter == meter.id) & pending, "on their way to one meter"),
    )
    for limit, which, text in checks:
        query = select(func.count()).select_from(CommandRecord)
        count = session.scalar(query.where(CommandRecord.requester == JOBS, which)) or 0
        if count >= limit:
            raise Denied(
                worded("the limit of {limit} backfills {text} is reached", limit=limit, text=text)
            )
