"""Supplies that are never cut go on the authority's own list, asked for by whoever keeps meters.

A protection is only ever added this way. When a meter takes another's place, the cause that
protects the one protects the other, before the registry says that they were exchanged: what the
authority signs for does not change by an exchange.
"""

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import facts, rules
from hesper_cloud.authority.case import Case, Outcome
from hesper_cloud.db.authority import Protection

PROTECT = "meter.protect"
LIFE_SUPPORT = "life support"


def protect(case: Case) -> Outcome:
    """Lists a meter's supply as one that is never cut: for life support, or as another's is.

    The payload names the ``meter`` and, where it takes another's place, that one as ``like``.

    Raises:
        Denied: the account may not keep assets.
    """
    asked = case.asked
    rules.require_user(case.session, asked.requested_by, Permission.EDIT_ASSETS)
    meter, like = asked.text("meter"), asked.text("like")
    cause = _cause_of(case, like) if like else LIFE_SUPPORT
    if cause is None:
        return {"cause": None}
    known = case.session.get(Protection, meter)
    if known is not None:
        return {"cause": known.cause}
    case.note(PROTECT, meter, "", cause, f"in the place of {like}" if like else "")
    case.session.add(Protection(meter=meter, cause=cause, added_at=case.now))
    return {"cause": cause}


def _cause_of(case: Case, meter: str) -> str | None:
    known = facts.meter_facts(case.registry, meter)
    if known is not None:
        return facts.protection(case.session, known)
    own = case.session.get(Protection, meter)
    return own.cause if own is not None else None
