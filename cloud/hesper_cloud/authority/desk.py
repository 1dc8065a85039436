"""Settles requests: each once, its outcome remembered beside the change it made.

The outcome is written in the authority's own transaction under the request's requester and
idempotency key, and copied to the registry afterwards. A crash in between, a request that is asked
again, or a row that someone copied all end in the same outcome and no second effect.

A request is marked as being in hand before it is decided, and taken back by nobody from then on:
whoever gave up waiting for it is told that it is being worked on, and not that it will not happen.

What is asked of the kill switch waits for nothing: it goes before all other requests, nothing is
let go or signed before it is settled, and what takes long, the freezing of a batch as much as its
leaving, looks for it while it is worked on (`giving_way`).
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.authority import cases, facts
from hesper_cloud.authority.case import (
    WRONG_PASSWORD,
    Asked,
    Case,
    Outcome,
    WrongPassword,
)
from hesper_cloud.authority.giving_way import GivesWay
from hesper_cloud.authority.kinds import KINDS
from hesper_cloud.authority.malformed import MALFORMED
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import SettledRequest
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import CLOCK_TOLERANCE, UNSETTLED, Request
from hesper_cloud.sealing import Opener
from hesper_cloud.vault import Vault
from hesper_cloud.worded import told_by, worded, wording

_log = logging.getLogger(__name__)
_AT_ONCE = 100
_URGENT = ("kill_switch.engage", "kill_switch.lift")
_AT_ANY_TIME = ("audit.note", "kill_switch.engage")
_FOR_LONG = timedelta(seconds=1)

_Settled = tuple[str, dict[str, Any]]
_Decide = Callable[[Session, Asked, datetime], _Settled]


class Desk:
    """Takes new requests from the registry and settles them one after the other."""

    def __init__(
        self,
        registry: Engine,
        authority: Engine,
        opener: Opener,
        handlers: Mapping[str, Callable[[Case], Outcome]] = cases.HANDLERS,
        vault: Vault | None = None,
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._opener = opener
        self._handlers = handlers
        self._vault = vault

    def settle_new(self, clock: Callable[[], datetime]) -> None:
        """Settles what is new, the kill switch's first and then oldest first, for a second or so.

        Each is read when its turn comes and told when it is settled: one may take seconds, and
        those behind it are taken back meanwhile. What is left waits for commands and results.
        """
        began = clock()
        for _ in range(_AT_ONCE):
            asked = self._take_next()
            if asked is None:
                return
            now = clock()
            with suppress(GivesWay):
                self._write_outcome(asked.id, self._settle(asked, now), now)
            if clock() - began >= _FOR_LONG:
                return

    def has_new(self) -> bool:
        """Says whether a request waits to be settled."""
        with reading(self._registry) as session:
            return session.scalar(_next().with_only_columns(Request.id)) is not None

    def give_way(self) -> None:
        """Breaks off what is at work where something is asked of the kill switch.

        Raises:
            GivesWay: something is that was not settled yet.
        """
        with reading(self._registry) as session:
            if session.scalar(_next().with_only_columns(Request.kind)) in _URGENT:
                raise GivesWay

    def _take_next(self) -> Asked | None:
        """Takes the next request in hand; one that the authority died over still is."""
        if not self.has_new():
            return None
        with writing(self._registry) as session:
            row = session.scalar(_next())
            if row is None:
                return None
            row.state = "in_hand"
        return Asked(
            id=row.id,
            kind=row.kind,
            requested_by=row.requested_by,
            idempotency_key=row.idempotency_key,
            payload=row.payload if isinstance(row.payload, dict) else {},
            sealed=row.sealed,
            created_at=row.created_at,
        )

    def _settle(self, asked: Asked, now: datetime) -> _Settled:
        """Settles one request; one that cannot be read is refused and keeps no other waiting."""
        try:
            return self._remembered(asked, now, self._decide)
        except MALFORMED as error:
            _log.error("request %d cannot be read: %s", asked.id, type(error).__name__)
            return self._remembered(asked, now, _refuse_unread)

    def _remembered(self, asked: Asked, now: datetime, decide: _Decide) -> _Settled:
        with writing(self._authority) as session:
            key = (asked.requested_by, asked.idempotency_key)
            known = session.get(SettledRequest, key)
            if known is not None:
                return known.state, known.outcome
            state, outcome = decide(session, asked, now)
            session.add(
                SettledRequest(
                    requested_by=asked.requested_by,
                    idempotency_key=asked.idempotency_key,
                    state=state,
                    outcome=outcome,
                    at=now,
                )
            )
            return state, outcome

    def _decide(self, session: Session, asked: Asked, now: datetime) -> _Settled:
        try:
            policy = facts.active_policy(session)
            self._check_age(asked, now, timedelta(seconds=policy.request_max_age_s))
            handler = self._handlers.get(asked.kind)
            if handler is None:
                raise Denied(worded("there is no request of kind {kind!r}", kind=asked.kind))
            about = session, self._registry, policy, self._opener, now, self._vault
            case = Case(asked, *about, self.give_way)
            return "done", handler(case)
        except (Denied, facts.NoPolicy) as refusal:
            return _refuse(session, asked, now, refusal)

    @staticmethod
    def _check_age(asked: Asked, now: datetime, limit: timedelta) -> None:
        """Refuses a click that lay around while the authority was away; notes may be late.

        So may the kill switch: what stops everything depends on no clock being right.
        """
        age = now - asked.created_at
        if asked.kind in _AT_ANY_TIME:
            return
        if age < -CLOCK_TOLERANCE:
            raise Denied(
                "the request is of a time that has not come by the authority's clock: set the "
                "clocks of both machines right"
            )
        if age > limit:
            raise Denied("the request is too old to act on; ask again")

    def _write_outcome(self, request_id: int, settled: _Settled, now: datetime) -> None:
        with writing(self._registry) as session:
            row = session.get(Request, request_id)
            if row is not None:
                row.state, row.outcome = settled
                row.sealed, row.settled_at = None, now


def _next() -> Select[Request]:
    unsettled = Request.state.in_(UNSETTLED)
    first = Request.kind.in_(_URGENT).desc()
    return select(Request).where(unsettled).order_by(first, Request.id).limit(1)


def _refuse(session: Session, asked: Asked, now: datetime, refusal: Exception) -> _Settled:
    wrong_password = isinstance(refusal, WrongPassword)
    entry = audit.Entry(
        actor=asked.requested_by,
        action=WRONG_PASSWORD if wrong_password else "request.refused",
        subject=asked.requested_by if wrong_password else _subject(asked),
        after=asked.kind,
        why=str(refusal),
    )
    audit.append(session, now, entry)
    said = told_by(refusal)
    return "refused", {"reason": str(said), "said": wording(said)}


def _refuse_unread(session: Session, asked: Asked, now: datetime) -> _Settled:
    return _refuse(session, asked, now, Denied("the request cannot be read"))


def _subject(asked: Asked) -> str:
    """Returns what a request is about, with the kind of command in front that it asks for."""
    given = asked.payload
    named = given.get("command") or given.get("meter") or asked.kind
    told = ascii(named)[1:-1][:200] if isinstance(named, str) else asked.kind
    kind = f"relay.{given['action']}" if "action" in given else given.get("kind")
    return f"{kind} {told}" if isinstance(kind, str) and kind in KINDS else told
