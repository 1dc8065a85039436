"""Whether an account counts as one of the two people that a decision needs.

Whoever administers gives roles, passwords and a service's tokens, and so could make up both people.
An account whose role, areas, state, password, factor, token or log-in elsewhere somebody gave over
the network therefore counts only when it has been so for as long as the policy says, time enough
for others to see it in the audit log: until then it approves nothing, asks for nothing that two
decide, and breaks no glass. What is set on this machine itself counts at once; somebody's own
change of their password begins no new wait, and ends none.
"""

from datetime import timedelta

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import rules
from hesper_cloud.authority.case import Case
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import User
from hesper_cloud.worded import worded


def require_approver(case: Case) -> User:
    """Returns the one who asks, when they may approve and their account counts.

    Raises:
        Denied: they may not, or not yet.
    """
    user = rules.require_user(case.session, case.asked.requested_by, Permission.APPROVE_COMMAND)
    check_counts(case, user)
    return user


def check_counts(case: Case, user: User) -> None:
    """Checks that an account was not made, or made into something else, for the purpose.

    Raises:
        Denied: it was given too lately.
    """
    if user.given_at is None:
        return
    counts_from = user.given_at + timedelta(seconds=case.policy.approver_age_s)
    if case.now < counts_from:
        at = counts_from.isoformat(timespec="minutes")
        raise Denied(
            worded(
                "the account {username} was made or changed too lately to decide with others; "
                "it may from {at}",
                username=user.username,
                at=at,
            )
        )
