"""Requests about accounts: an admin's, proved by the admin's own password, and one's own password.

What is sealed is JSON: the password of who asks, the code of their factor, and where a password is
given the new one. The words of a change are bound to the seal, so that a proof given for one change
serves no other. Nobody changes their own role, areas or state: so whoever asks stays an admin, and
one is always left. What an admin gives to somebody is dated: `standing` says when it counts.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import update

from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.passwords import hash_password
from hesper_cloud.accounts.roles import Permission, Role
from hesper_cloud.accounts.terms import Terms, check_username, role_named, scopes_named
from hesper_cloud.authority import rules, second_factor
from hesper_cloud.authority.case import (
    UNLOCKED,
    Case,
    Outcome,
    check_proof,
    sealed_fields,
    sealed_subject,
)
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import ApiToken, User
from hesper_cloud.worded import told_by, worded

CREATE = "user.create"
CHANGE = "user.change"
RESET = "user.password"
UNLOCK = UNLOCKED
DROP_FACTOR = "user.factor.drop"
OWN_PASSWORD = "password.change"  # noqa: S105 - the name of a request
_KNOWN = frozenset({"role", "areas", "scopes", "email", "disabled"})
_FREE = frozenset({"email"})
"""What one may change of oneself."""


@dataclass(frozen=True, slots=True)
class _Proved:
    """Who asks, and the password that they give to somebody, if any."""

    user: User
    new: str


def create(case: Case) -> Outcome:
    """Makes an account; a service gets no password, everybody else a first one."""
    proved = _by_admin(case)
    username = case.asked.text("account")
    _check(check_username, username)
    if case.session.get(User, username) is not None:
        raise Denied(worded("there is an account {username} already", username=username))
    change = _change_of(case)
    terms = _merged(Terms(Role.VIEWER), change)
    is_machine = terms.role is Role.SERVICE
    password_hash = "" if is_machine else _hashed(proved.new)
    case.note(CREATE, username, "", terms.said(), "")
    user = User(
        username=username,
        role=terms.role,
        password_hash=password_hash,
        created_at=case.now,
        given_at=case.now,
    )
    _write(user, terms)
    case.session.add(user)
    return {"account": username}


def change(case: Case) -> Outcome:
    """Changes role, areas, scopes, e-mail or state of an account; ends its sessions by that."""
    proved = _by_admin(case)
    user, wanted = _named(case), _change_of(case)
    if user.username == proved.user.username and not wanted.keys() <= _FREE:
        raise Denied("nobody changes their own role, areas or state; ask another admin")
    before = terms_of(user)
    after = _merged(before, wanted)
    if (before.role is Role.SERVICE) != (after.role is Role.SERVICE):
        raise Denied("a service stays a service, and a person a person; make another account")
    disabled = wanted.get("disabled", user.disabled)
    if not isinstance(disabled, bool):
        raise Denied("an account is disabled, or it is not")
    case.note(CHANGE, user.username, _said(before, user.disabled), _said(after, disabled), "")
    if wanted.keys() - _FREE:
        user.token_version += 1
        user.given_at = case.now
    user.disabled = disabled
    _write(user, after)
    return {"account": user.username}


def reset_password(case: Case) -> Outcome:
    """Gives an account another first password; its sessions end and its tokens are revoked."""
    proved = _by_admin(case)
    user = _named(case)
    if user.username == proved.user.username:
        raise Denied("change your own password with the present one")
    if user.role == Role.SERVICE:
        raise Denied("a service has tokens and no password")
    password_hash = _hashed(proved.new)
    case.note(RESET, user.username, "", "another first password", "")
    user.password_hash, user.given_at = password_hash, case.now
    user.token_version += 1
    live = (ApiToken.username == user.username) & ApiToken.revoked_at.is_(None)
    revoked = {"revoked_at": case.now, "revoked_by": proved.user.username}
    case.session.execute(update(ApiToken).where(live).values(revoked))
    return {"account": user.username}


def unlock(case: Case) -> Outcome:
    """Forgets what an account failed at, for somebody who typed the wrong password too often."""
    _by_admin(case)
    user = _named(case)
    case.note(UNLOCK, user.username, "", "failed tries are forgotten", "")
    return {"account": user.username}


def drop_factor(case: Case) -> Outcome:
    """Takes an account's second factor away, for a lost one; its sessions end."""
    proved = _by_admin(case)
    user = _named(case)
    if user.username == proved.user.username:
        raise Denied("ask another admin, or use a recovery code and enrol another")
    factor = second_factor.of(case.session, user.username)
    if factor is None:
        raise Denied(worded("{username} has no second factor", username=user.username))
    case.note(DROP_FACTOR, user.username, "a factor", "none", "")
    case.session.delete(factor)
    user.token_version += 1
    user.given_at = case.now
    return {"account": user.username}


def own_password(case: Case) -> Outcome:
    """Changes one's own password by the present one; every session ends."""
    user = rules.require_account(case.session, case.asked.requested_by)
    given = _proved(case, user)
    password_hash = _hashed(given.new)
    case.note(OWN_PASSWORD, user.username, "", "another password", "")
    user.password_hash = password_hash
    user.token_version += 1
    return {"account": user.username}


HANDLERS = {
    CREATE: create,
    CHANGE: change,
    RESET: reset_password,
    UNLOCK: unlock,
    DROP_FACTOR: drop_factor,
    OWN_PASSWORD: own_password,
}


def terms_of(user: User) -> Terms:
    """Returns the terms of a stored account."""
    areas = None if user.areas is None else tuple(user.areas)
    scopes = None if user.scopes is None else frozenset(map(Permission, user.scopes))
    return Terms(Role(user.role), areas, scopes, user.email)


def _by_admin(case: Case) -> _Proved:
    user = rules.require_user(case.session, case.asked.requested_by, Permission.ADMINISTER)
    return _proved(case, user)


def _proved(case: Case, user: User) -> _Proved:
    names = frozenset({"password", "code", "new"})
    given = sealed_fields(case, sealed_subject(case.asked.payload), names)
    check_proof(case, user, Proof(given["password"], given["code"]))
    return _Proved(user, given["new"])


def _named(case: Case) -> User:
    username = case.asked.text("account")
    user = case.session.get(User, username)
    if user is None:
        raise Denied(worded("there is no account {username!r}", username=username))
    return user


def _change_of(case: Case) -> dict[str, Any]:
    wanted = case.asked.mapping("change")
    unknown = wanted.keys() - _KNOWN
    if unknown:
        raise Denied(worded("an account has no {unknown}", unknown=min(unknown)))
    return wanted


def _merged(before: Terms, wanted: dict[str, Any]) -> Terms:
    """Returns terms with what is wanted in its place.

    Raises:
        Denied: they do not go together.
    """
    role = _check(role_named, wanted.get("role", before.role))
    areas, scopes = wanted.get("areas", before.areas), wanted.get("scopes", before.scopes)
    email = wanted.get("email", before.email)
    if areas is not None:
        if not all(isinstance(area, str) for area in areas):
            raise Denied("areas are names")
        areas = tuple(sorted(set(areas)))
    if scopes is not None:
        scopes = _check(lambda names: scopes_named(names, frozenset(Permission)), scopes)
    terms = Terms(role, areas, scopes, email or None)
    _check(Terms.check, terms)
    return terms


def _write(user: User, terms: Terms) -> None:
    user.role, user.email = terms.role, terms.email
    user.areas = None if terms.areas is None else list(terms.areas)
    user.scopes = None if terms.scopes is None else sorted(terms.scopes)


def _said(terms: Terms, disabled: bool) -> str:
    return f"{terms.said()}; disabled" if disabled else terms.said()


def _hashed(password: str) -> str:
    hashed: str = _check(hash_password, password)
    return hashed


def _check(rule: Any, given: Any) -> Any:
    """Applies a rule of accounts; what it does not take is denied in its words."""
    try:
        return rule(given)
    except ValueError as error:
        raise Denied(told_by(error)) from None
