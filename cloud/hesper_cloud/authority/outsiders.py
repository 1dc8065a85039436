"""Accounts of people who prove elsewhere who they are.

The web process says who came back from the provider; the authority does not see the provider. So
what this can give is bounded here, by the authority's own configuration: no role above the highest,
no admin, no service, and no password. Without a password nobody approves anything: an admin gives
the first one, with a proof of their own. An account that an admin made keeps the role it was given.
"""

from typing import Any

from sqlalchemy import select

from hesper_cloud.accounts.terms import Terms, check_username, role_named
from hesper_cloud.authority.case import Case, Outcome
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import User
from hesper_cloud.web_settings import OidcSettings
from hesper_cloud.worded import told_by, worded

ADMIT = "account.external"
WHO = "system:oidc"
"""In whose name the web process asks; no account can be called so."""
_LONGEST_ID = 512
_FIRST_LOGIN = "login"


class Outsiders:
    """Makes and follows accounts at a log-in."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self.handlers = {ADMIT: self.admit}

    def admit(self, case: Case) -> Outcome:
        """Returns the account of somebody; makes it, or brings its role up to date."""
        if case.asked.requested_by != WHO:
            raise Denied("only a log-in asks for this")
        wanted = case.asked.mapping("change")
        external_id = str(wanted.get("external_id", ""))
        if not external_id.startswith(f"{self._settings.issuer} ") or (
            len(external_id) > _LONGEST_ID
        ):
            raise Denied("this is nobody whom the configured provider knows")
        terms = self._terms(wanted)
        query = select(User).where(User.external_id == external_id)
        user = case.session.scalar(query) or self._linked(case, external_id, terms.email)
        if user is None:
            user = self._made(case, external_id, terms)
        elif user.disabled:
            raise Denied("the account is disabled")
        elif user.origin == _FIRST_LOGIN:
            self._follow(case, user, terms)
        return {"account": user.username}

    def _terms(self, wanted: dict[str, Any]) -> Terms:
        areas = wanted.get("areas")
        try:
            terms = Terms(
                role_named(wanted.get("role")),
                None if areas is None else tuple(sorted({str(area) for area in areas})),
                None,
                wanted.get("email") or None,
            )
            terms.check()
        except ValueError as error:
            raise Denied(told_by(error)) from None
        if not self._settings.may_give(terms.role):
            raise Denied(worded("a log-in gives nobody the role {role}", role=terms.role))
        return terms

    def _linked(self, case: Case, external_id: str, email: str | None) -> User | None:
        """Returns the one account that an admin made with this verified address, from now on."""
        if not self._settings.link_by_email or email is None:
            return None
        query = select(User).where(User.email == email, User.external_id.is_(None))
        found = case.session.scalars(query.limit(2)).all()
        if len(found) != 1 or found[0].role in ("admin", "service"):
            return None
        case.note("user.link", found[0].username, "", external_id, "by a verified address")
        found[0].external_id, found[0].given_at = external_id, case.now
        return found[0]

    def _made(self, case: Case, external_id: str, terms: Terms) -> User:
        username = case.asked.text("account")
        if not self._settings.just_in_time:
            raise Denied("there is no account for you here; an admin makes one")
        try:
            check_username(username)
        except ValueError as error:
            raise Denied(told_by(error)) from None
        if case.session.get(User, username) is not None:
            raise Denied(
                worded(
                    "the name {username} is somebody else's here; ask an admin", username=username
                )
            )
        case.note("user.create", username, "", terms.said(), external_id)
        user = User(
            username=username,
            role=terms.role,
            password_hash="",
            created_at=case.now,
            given_at=case.now,
            email=terms.email,
            areas=None if terms.areas is None else list(terms.areas),
            external_id=external_id,
            origin=_FIRST_LOGIN,
        )
        case.session.add(user)
        return user

    def _follow(self, case: Case, user: User, terms: Terms) -> None:
        """Brings role and areas up to date; what was open under others ends."""
        areas = None if terms.areas is None else list(terms.areas)
        if (user.role, user.areas) != (terms.role, areas):
            case.note("user.change", user.username, user.role, terms.said(), "as the provider says")
            user.role, user.areas, user.given_at = terms.role, areas, case.now
            user.token_version += 1
        user.email = terms.email
