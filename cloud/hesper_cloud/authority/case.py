"""One request on the authority's desk, and the password that may come with it.

A request is a row that the web process wrote: its ``requested_by`` is a claim. The authority looks
up the account itself, and where a second person or the lifting of the kill switch is at stake it
opens the sealed password and checks it itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.passwords import verify_password
from hesper_cloud.authority import facts, life, rules, second_factor
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.authority.kinds import KINDS
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import AuditRow, User
from hesper_cloud.sealing import Opener, SealBroken
from hesper_cloud.vault import Vault
from hesper_cloud.worded import told_by, worded

UNLOCKED = "user.unlock"
WRONG_PASSWORD = "password.refused"  # noqa: S105 - the name of an audit action
_DOES_NOT_FIT = "the password or the code does not fit, or the code was used before"
_TRIES = 5
_TEXT_LIMIT = 500
_TRIES_WINDOW = timedelta(minutes=15)


class WrongPassword(Denied):
    """The password does not fit; counted against the account."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it was read from the registry."""

    id: int
    kind: str
    requested_by: str
    idempotency_key: str
    payload: dict[str, Any]
    sealed: bytes | None
    created_at: datetime

    def text(self, name: str, most: int = _TEXT_LIMIT) -> str:
        """Returns a text of the payload, of so many characters at most.

        Raises:
            Denied: it is missing, too long or not a plain text.
        """
        value = self.payload.get(name)
        if not isinstance(value, str):
            raise Denied(worded("the request names no {name}", name=name.replace("_", " ")))
        if len(value) > most or not value.isprintable():
            raise Denied(
                worded(
                    "the {name} is too long or holds control characters",
                    name=name.replace("_", " "),
                )
            )
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Returns a JSON object of the payload, empty where it is absent.

        Raises:
            Denied: it is something else.
        """
        value = self.payload.get(name, {})
        if not isinstance(value, dict):
            raise Denied(worded("the {name} are no JSON object", name=name))
        return value


@dataclass(frozen=True, slots=True)
class Case:
    """One request with all that is needed to decide it, inside one write transaction."""

    asked: Asked
    session: Session
    registry: Engine
    policy: Policy
    opener: Opener
    now: datetime
    vault: Vault | None = None
    give_way: GiveWay = lambda: None

    def meter(self, meter_id: str) -> MeterFacts:
        """Returns the meter's facts or refuses."""
        return rules.require_meter(facts.meter_facts(self.registry, meter_id), meter_id)

    def addressee(self, kind: str) -> MeterFacts:
        """Returns the meter, or the gateway itself, that a command is asked for, or refuses."""
        named = "gateway" if KINDS[kind].at_gateway else "meter"
        whom = {"meter": "", "gateway": "", named: self.asked.text(named)}
        return rules.require_addressee(self.registry, kind, **whom)

    def step(self, to: str, why: str) -> life.Move:
        """Returns a transition made by the one who asked."""
        return life.Move(to, self.asked.requested_by, why)

    def note(self, action: str, subject: str, before: str, after: str, why: str) -> None:
        """Adds an audit row in the name of the one who asked."""
        entry = audit.Entry(self.asked.requested_by, action, subject, before, after, why)
        audit.append(self.session, self.now, entry)


Outcome = dict[str, Any]


def sealed_subject(payload: Mapping[str, Any]) -> str:
    """Returns what a password that comes with these words is given for."""
    if "change" in payload:
        return f"{payload.get('account')} {json.dumps(payload['change'], sort_keys=True)}"
    if "batch" in payload:
        return f"{payload['batch']} {payload.get('digest')}"
    if "kind" in payload:
        return command_subject(payload["kind"], payload.get("meter"))
    named = (payload.get(name) for name in ("command", "gateway", "meter", "account"))
    return str(next(filter(None, named), "kill switch"))


def command_subject(kind: object, meter: object) -> str:
    """Returns what a password is given for that lets a command go alone."""
    return f"{kind} {meter}"


def seal_context(kind: str, username: str, idempotency_key: str, subject: str) -> str:
    """Returns what a sealed password is bound to."""
    return json.dumps([kind, username, idempotency_key, subject])


def check_password(case: Case, user: User, subject: str) -> None:
    """Opens and checks the sealed password of a request, with a code if the account has a factor.

    Raises:
        Denied: none came, or the account has failed too often lately.
        WrongPassword: it does not fit.
    """
    check_proof(case, user, Proof.from_text(sealed_text(case, subject)))


def sealed_text(case: Case, subject: str) -> str:
    """Opens what was sealed to the authority with this request, about this subject.

    Raises:
        Denied: nothing was, or it belongs to another request.
    """
    asked = case.asked
    context = seal_context(asked.kind, asked.requested_by, asked.idempotency_key, subject)
    try:
        return case.opener.open(asked.sealed or b"", context)
    except SealBroken as error:
        raise Denied(told_by(error)) from None


def sealed_fields(case: Case, subject: str, names: frozenset[str]) -> dict[str, str]:
    """Opens a JSON object of texts that was sealed to the authority with this request.

    Raises:
        Denied: it is none, or has other fields.
    """
    try:
        given = json.loads(sealed_text(case, subject))
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or given.keys() != names:
        raise Denied("what was sealed is not what this request needs")
    return {name: str(value) for name, value in given.items()}


def check_proof(case: Case, user: User, proof: Proof) -> None:
    """Checks what a person gave to prove who they are; a code that fits is used up.

    Tries that lie ahead were noted by a clock that has been set back since; so were unlockings.

    Raises:
        Denied: the account has failed too often lately.
        WrongPassword: password or code do not fit.
    """
    since, until = case.now - _TRIES_WINDOW, case.now + _TRIES_WINDOW
    lately = (AuditRow.subject == user.username) & AuditRow.at.between(since, until)
    unlocked = select(func.max(AuditRow.at)).where(lately, AuditRow.action == UNLOCKED)
    recent = select(func.count()).where(
        lately,
        AuditRow.action == WRONG_PASSWORD,
        AuditRow.at > (case.session.scalar(unlocked) or since),
    )
    if (case.session.scalar(recent) or 0) >= _TRIES:
        raise Denied("too many wrong passwords; wait a quarter of an hour")
    factor = second_factor.of(case.session, user.username)
    if not verify_password(proof.password, user.password_hash):
        raise WrongPassword("the password does not fit" if factor is None else _DOES_NOT_FIT)
    if factor is None:
        return
    if not second_factor.take(case.session, case.vault, factor, proof.code, case.now):
        raise WrongPassword(_DOES_NOT_FIT)
