"""Requests of persons about themselves: a second factor, and the check of a login that has one.

A secret is made where the person sees it, comes sealed together with the password and the first
code that it made, and counts from then on.
"""

from hesper_cloud.accounts import factors
from hesper_cloud.accounts.factors import Enrolled, Proof
from hesper_cloud.authority import rules, second_factor
from hesper_cloud.authority.case import Case, Outcome, check_proof, sealed_fields, sealed_text
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import User

CHECK_LOGIN = "account.check"
ENROL = "factor.enrol"


def check_login(case: Case) -> Outcome:
    """Checks the password and code of a login, for the process that cannot open the secret."""
    user = _self(case)
    check_proof(case, user, Proof.from_text(sealed_text(case, user.username)))
    return {"fits": True}


def enrol(case: Case) -> Outcome:
    """Gives an account a second factor by password and its first code; another one by a code too.

    What is sealed is JSON: the password, the code of the present factor, the new secret, its
    first code and the recovery codes.
    """
    user = _self(case)
    given = _given(case, user.username)
    check_proof(case, user, Proof(given["password"], given["code"]))
    if case.vault is None:
        raise Denied("second factors cannot be kept here")
    step = factors.step_of(given["secret"], given["first"], case.now, 0)
    if step is None:
        raise Denied("the first code does not fit; is the clock of the authenticator right?")
    before = second_factor.of(case.session, user.username)
    case.note(ENROL, user.username, "a factor" if before else "none", "another factor", "")
    enrolled = Enrolled(user.username, given["secret"], given["recovery"].split(), step)
    second_factor.put(case.session, case.vault, enrolled, case.now)
    return {"enrolled": True}


def _self(case: Case) -> User:
    return rules.require_account(case.session, case.asked.requested_by)


def _given(case: Case, username: str) -> dict[str, str]:
    names = frozenset({"password", "code", "secret", "first", "recovery"})
    given = sealed_fields(case, username, names)
    if not factors.is_secret(given["secret"]):
        raise Denied("the secret is too short, or not base32")
    return given
