"""Requests about API tokens: a person's for themselves, an admin's for a service.

The secret is made where it is shown, once; its digest comes here. A person's own token can do what
the person can and its scopes name; whoever makes one proves who they are. Taking one away asks for
no proof: it takes nothing but access.
"""

import re
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Permission, Role, grants
from hesper_cloud.accounts.terms import scopes_named
from hesper_cloud.accounts.tokens import TOKEN_ID_LENGTH
from hesper_cloud.authority import rules
from hesper_cloud.authority.case import Case, Outcome, check_proof, sealed_subject, sealed_text
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import ApiToken, User
from hesper_cloud.worded import told_by, worded

CREATE = "token.create"
REVOKE = "token.revoke"
MOST_DAYS = 366
_MOST_TOKENS = 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NEVER = frozenset({Permission.ADMINISTER})
"""What no token may: who administers proves it with a password each time, and comes in person."""


def create(case: Case) -> Outcome:
    """Makes a token count."""
    asker = rules.require_account(case.session, case.asked.requested_by)
    owner, wanted = _owner(case, asker), case.asked.mapping("change")
    digest, name = str(wanted.get("digest", "")), str(wanted.get("name", "")).strip()
    if not _DIGEST.fullmatch(digest) or not 0 < len(name) <= 64 or not name.isprintable():
        raise Denied("a token has a name of 1 to 64 characters and the digest of its secret")
    days = wanted.get("days")
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
        raise Denied(worded("a token is good for 1 to {most_days} days", most_days=MOST_DAYS))
    scopes = _scopes(owner, wanted)
    check_proof(case, asker, Proof.from_text(sealed_text(case, sealed_subject(case.asked.payload))))
    live = select(func.count()).where(
        ApiToken.username == owner.username,
        ApiToken.revoked_at.is_(None),
        ApiToken.expires_at > case.now,
    )
    if (case.session.scalar(live) or 0) >= _MOST_TOKENS:
        raise Denied(
            worded(
                "{username} has {most_tokens} tokens; revoke one first",
                username=owner.username,
                most_tokens=_MOST_TOKENS,
            )
        )
    token_id = digest[:TOKEN_ID_LENGTH]
    said = f"{name}: may {', '.join(scopes)}, {days} days"
    case.note(CREATE, f"{owner.username} token {token_id}", "", said, "")
    if owner is not asker:
        owner.given_at = case.now  # whoever makes its tokens could ask in its name
    case.session.add(
        ApiToken(
            id=token_id,
            digest=digest,
            username=owner.username,
            name=name,
            scopes=scopes,
            created_at=case.now,
            created_by=asker.username,
            expires_at=case.now + timedelta(days=days),
        )
    )
    return {"token": token_id}


def revoke(case: Case) -> Outcome:
    """Takes a token away, one's own or as an admin any."""
    asker = rules.require_account(case.session, case.asked.requested_by)
    token = case.session.get(ApiToken, case.asked.text("token"))
    is_own = token is not None and token.username == asker.username
    if token is None or not (is_own or grants(Role(asker.role), Permission.ADMINISTER)):
        raise Denied("there is no such token")
    if token.revoked_at is None:
        case.note(REVOKE, f"{token.username} token {token.id}", token.name, "revoked", "")
        token.revoked_at, token.revoked_by = case.now, asker.username
    return {"token": token.id}


HANDLERS = {CREATE: create, REVOKE: revoke}


def _owner(case: Case, asker: User) -> User:
    username = case.asked.text("account")
    if username == asker.username and asker.role != Role.SERVICE:
        return asker
    rules.require_user(case.session, asker.username, Permission.ADMINISTER)
    owner = case.session.get(User, username)
    if owner is None or owner.role != Role.SERVICE or owner.disabled:
        raise Denied(
            worded("{username!r} is no service: people make their own tokens", username=username)
        )
    return owner


def _scopes(owner: User, wanted: dict[str, Any]) -> list[str]:
    names = wanted.get("scopes")
    if not isinstance(names, list):
        raise Denied("the scopes are no list")
    may = frozenset(each for each in Permission if rules.holds(owner, each)) - _NEVER
    try:
        return sorted(scopes_named(names, may))
    except ValueError as error:
        raise Denied(told_by(error)) from None
