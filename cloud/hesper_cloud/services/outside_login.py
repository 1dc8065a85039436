"""Log-in by an OpenID provider: who came back, as which account, and with which role.

The authority makes the account at the first log-in and keeps its role as the claim says; never one
above what its own configuration allows. Such an account has no password here, so it approves
nothing until an admin has given it one: see the decision record on log-in elsewhere.
"""

import re
import uuid
from datetime import timedelta
from typing import Any, NamedTuple

import jwt

from hesper_cloud.accounts.oidc import Attempt, Provider, ProviderAway, ProviderRefused
from hesper_cloud.authority import outsiders
from hesper_cloud.services.accounts import Accounts
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import LoginRefused, NotFound, Refused, Unavailable
from hesper_cloud.services.records import Session, Visit
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import told_by

WAITS = timedelta(minutes=10)
_ALGORITHM = "HS256"
_ISSUER = "hesper log-in elsewhere"
_RANK = ("viewer", "auditor", "operator", "approver")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
_NAME_LENGTH = 64


class Begun(NamedTuple):
    """Where the browser goes, and what it keeps in a cookie until it is back."""

    address: str
    kept: str


class OutsideLogin:
    """Sends people to the provider and receives them back."""

    def __init__(
        self, sources: Sources, link: AuthorityLink, accounts: Accounts, secret: bytes
    ) -> None:
        settings = sources.settings.oidc
        self._provider = None if settings is None else Provider(settings)
        self._clock = sources.clock
        self._link = link
        self._accounts = accounts
        self._secret = secret

    async def begin(self, target: str) -> Begun:
        """Begins a log-in.

        Raises:
            NotFound: no provider is configured.
            Unavailable, LoginRefused: it does not answer, or is not to be believed.
        """
        provider = self._configured()
        attempt = Attempt.new(target)
        try:
            address = await provider.address_of(attempt)
        except ProviderAway as error:
            raise Unavailable(told_by(error)) from None
        except ProviderRefused as error:
            raise LoginRefused(told_by(error)) from None
        return Begun(address, self._kept(attempt))

    async def finish(self, kept: str, state: str, code: str, visit: Visit) -> tuple[Session, str]:
        """Opens a session for whoever came back; returns it and the page to go to.

        Raises:
            LoginRefused: the log-in was not begun here, took too long, or was refused.
            Unavailable: the provider or the authority does not answer.
        """
        provider, attempt = self._configured(), self._attempt(kept)
        try:
            claims = await provider.claims_of(attempt, state, code)
        except ProviderAway as error:
            raise Unavailable(told_by(error)) from None
        except ProviderRefused as error:
            self._link.leave_note("?", "login.refused", f"from {visit.source}", str(error)[:200])
            raise LoginRefused(told_by(error)) from None
        username = await self._account(provider, claims)
        return await self._accounts.admit(username, visit), attempt.target

    async def _account(self, provider: Provider, claims: dict[str, Any]) -> str:
        settings = provider.settings
        role = _role(claims.get(settings.roles_claim), settings.roles, settings.default_role)
        if role is None:
            raise LoginRefused("none of your groups may come in here; ask who keeps them")
        name = str(claims.get(settings.name_claim) or claims.get("email") or claims["sub"])
        areas = None if settings.areas_claim is None else _texts(claims.get(settings.areas_claim))
        verified = claims.get("email_verified") is True
        change = {
            "external_id": f"{settings.issuer} {claims['sub']}",
            "role": role,
            "areas": areas,
            "email": str(claims.get("email", "")) if verified else None,
        }
        payload = {"account": _username(name), "change": change}
        try:
            outcome = await self._link.ask(
                outsiders.WHO, outsiders.ADMIT, payload, uuid.uuid4().hex
            )
        except Refused as refusal:
            raise LoginRefused(told_by(refusal)) from None
        return str(outcome["account"])

    def _configured(self) -> Provider:
        if self._provider is None:
            raise NotFound("no OpenID provider is configured; see [oidc] in cloud.toml")
        return self._provider

    def _kept(self, attempt: Attempt) -> str:
        body = {
            "iss": _ISSUER,
            "exp": int((self._clock() + WAITS).timestamp()),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "verifier": attempt.verifier,
            "target": attempt.target,
        }
        return jwt.encode(body, self._secret, algorithm=_ALGORITHM)

    def _attempt(self, kept: str) -> Attempt:
        try:
            body = jwt.decode(
                kept,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={"verify_exp": False, "require": ["exp"]},
            )
        except jwt.InvalidTokenError:
            raise LoginRefused("this log-in was not begun here; begin again") from None
        if self._clock().timestamp() >= float(body["exp"]):
            raise LoginRefused("the log-in took too long; begin again")
        return Attempt(*(str(body[name]) for name in ("state", "nonce", "verifier", "target")))


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value] if isinstance(value, list) else []


def _role(value: object, roles: dict[str, Any], default: str | None) -> str | None:
    """Returns the strongest role that a claim's values stand for."""
    found = [str(roles[each]) for each in _texts(value) if each in roles]
    return max(found, key=_RANK.index) if found else default


def _username(name: str) -> str:
    """Returns a name that can name an account; of an address what stands before the @."""
    plain = _NOT_IN_NAMES.sub("-", name.lower().partition("@")[0]).strip("._-")
    return plain[:_NAME_LENGTH] or "somebody"
