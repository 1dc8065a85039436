"""How a service asks the authority: it writes a request and waits for the outcome."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.authority.case import seal_context, sealed_subject
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import UNSETTLED, Request
from hesper_cloud.sealing import Sealer
from hesper_cloud.services.errors import Invalid, Refused, Unavailable
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import restored

WAIT = timedelta(seconds=5)
_LONGER = dict.fromkeys(  # tens of thousands of meters are looked up
    ("batch.propose", "firmware.campaign", "firmware.activation"), timedelta(seconds=60)
)
_POLL_S = 0.004
_IN_HAND_S = 0.5  # what the authority has in hand at the last moment is mostly settled by then


class AuthorityLink:
    """Puts requests before the authority in the name of an actor."""

    def __init__(self, sources: Sources, sealer: Sealer) -> None:
        self._registry = sources.registry
        self._clock = sources.clock
        self._sealer = sealer

    async def ask(
        self, actor: Actor | str, kind: str, payload: dict[str, Any], key: str, password: str = ""
    ) -> dict[str, Any]:
        """Asks and returns the outcome; the same key again returns the same outcome.

        A password, or a token, is sealed to the authority and bound to this request's subject.
        A name in the place of an actor is one that no account can have.

        Raises:
            Refused: the authority says no, with its reason.
            Unavailable: it did not answer in time; the request was taken back, or the authority had
                begun to decide it.
            Invalid: the key was used for another request.
        """
        name = actor if isinstance(actor, str) else actor.username
        request_id = await asyncio.to_thread(self._insert, name, kind, payload, key, password)
        wait_s = _LONGER.get(kind, WAIT).total_seconds()
        deadline = asyncio.get_running_loop().time() + wait_s
        state, outcome = await asyncio.to_thread(self._outcome, request_id)
        while state in UNSETTLED and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_S)
            state, outcome = await asyncio.to_thread(self._outcome, request_id)
        if state in UNSETTLED:
            state, outcome = await self._given_up(request_id)
        if state == "refused":
            found = outcome or {}
            raise Refused(restored(str(found.get("reason", "refused")), found.get("said")))
        if state == "withdrawn":
            raise Unavailable("the authority does not answer; the request was taken back")
        if state in UNSETTLED:
            raise Unavailable(
                "the authority is still at work on this request: look whether it was done before "
                "you ask again"
            )
        return outcome or {}

    def leave_note(self, actor_name: str, action: str, subject: str, why: str | None) -> None:
        """Leaves a note for the audit log without waiting; the row itself is durable at once."""
        payload = {"action": action, "subject": subject, "why": why}
        key = f"note-{uuid.uuid4().hex}"
        with writing(self._registry) as session:
            session.add(self._row(actor_name, "audit.note", payload, key))

    def _insert(
        self, username: str, kind: str, payload: dict[str, Any], key: str, password: str
    ) -> int:
        row = self._row(username, kind, payload, key)
        if password:
            context = seal_context(kind, username, key, sealed_subject(payload))
            row.sealed = self._sealer.seal(password, context)
        try:
            with writing(self._registry) as session:
                session.add(row)
        except IntegrityError:
            return self._same_request(row)
        return row.id

    def _row(self, username: str, kind: str, payload: dict[str, Any], key: str) -> Request:
        if not 0 < len(key) <= 128:
            raise Invalid("an idempotency key has 1 to 128 characters")
        return Request(
            kind=kind,
            requested_by=username,
            payload={name: _one_line(value) for name, value in payload.items()},
            idempotency_key=key,
            created_at=self._clock(),
        )

    def _same_request(self, asked: Request) -> int:
        """Returns the row of a repeated request; one that was taken back is asked anew."""
        query = select(Request).where(
            Request.requested_by == asked.requested_by,
            Request.idempotency_key == asked.idempotency_key,
        )
        with writing(self._registry) as session:
            known = session.scalars(query).one()
            if (known.kind, known.payload) != (asked.kind, asked.payload):
                raise Invalid("this idempotency key was used for another request")
            if known.state == "withdrawn":
                known.state, known.sealed, known.created_at = "new", asked.sealed, asked.created_at
            return known.id

    async def _given_up(self, request_id: int) -> tuple[str, dict[str, Any] | None]:
        """Takes a request back; returns what became of it where the authority has it in hand."""
        await asyncio.to_thread(self._take_back, request_id)
        state, outcome = await asyncio.to_thread(self._outcome, request_id)
        if state in UNSETTLED:
            await asyncio.sleep(_IN_HAND_S)
            state, outcome = await asyncio.to_thread(self._outcome, request_id)
        return state, outcome

    def _take_back(self, request_id: int) -> None:
        """Withdraws what the authority has not begun, so that nothing happens behind a no."""
        untouched = (Request.id == request_id) & (Request.state == "new")
        with writing(self._registry) as session:
            session.execute(update(Request).where(untouched).values(state="withdrawn", sealed=None))

    def _outcome(self, request_id: int) -> tuple[str, dict[str, Any] | None]:
        with reading(self._registry) as session:
            row = session.get_one(Request, request_id)
            return row.state, row.outcome


def _one_line(value: Any) -> Any:
    """Returns a text without line breaks or control characters, as the authority wants it."""
    if not isinstance(value, str):
        return value
    words = " ".join(value.split())
    return "".join(letter for letter in words if letter.isprintable())
