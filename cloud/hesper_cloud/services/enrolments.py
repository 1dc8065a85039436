"""Devices that enrol: their asks go to the authority, and its signed answers back.

Nobody is logged in; the token is what counts, and only the authority judges it.
"""

import asyncio
import base64
import uuid

from hesper_contracts import enrolment
from hesper_contracts.frame import Refused as NotThat

from hesper_cloud.accounts import backoff
from hesper_cloud.db.authority import EnrolmentToken
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, LoginRefused, Refused, Unavailable
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import told_by

WHO = "device enrolling"
"""In the audit log; no account's name holds a space."""


class Enrolments:
    """Takes asks; those that fail slow down the next from the same address."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def enrol(self, token: str, ask: bytes, source: str) -> bytes:
        """Returns the signed answer to a signed ask. ``source`` is the caller's address.

        Raises:
            LoginRefused: too many tries; it says how long to wait.
            Refused: the authority says no.
            Invalid: not an ask that a device signed, or no token.
            Unavailable: the authority does not answer now.
        """
        await asyncio.to_thread(self._count, source)
        try:
            gateway = enrolment.read_ask(ask).gateway
            enrolment.Token.from_text(token)
        except NotThat as refusal:
            raise Invalid(told_by(refusal)) from None
        payload = {"gateway": gateway, "ask": base64.b64encode(ask).decode("ascii")}
        try:
            outcome = await self._link.ask(
                WHO, "gateway.enrol", payload, uuid.uuid4().hex, token.strip()
            )
        except Unavailable:
            await asyncio.to_thread(self._forgive, source)
            raise
        await asyncio.to_thread(self._forgive, source)
        if waits := outcome.get("waits"):
            raise Refused(told_by(waits))
        return await asyncio.to_thread(self._answer, str(outcome["token"]))

    def _count(self, source: str) -> None:
        subjects, now = backoff.enrolment_subjects(source), self._sources.clock()
        with writing(self._sources.registry) as session:
            wait_s = backoff.wait_s(session, subjects, now)
            if wait_s <= 0:
                backoff.count_failure(session, subjects, now)
        if wait_s > 0:
            raise LoginRefused("too many failed enrolments; wait before the next", wait_s)

    def _forgive(self, source: str) -> None:
        with writing(self._sources.registry) as session:
            backoff.forgive(session, backoff.enrolment_subjects(source))

    def _answer(self, token_digest: str) -> bytes:
        with reading(self._sources.authority) as session:
            row = session.get(EnrolmentToken, token_digest)
        if row is None or row.answer is None:
            raise Refused("there is no answer any more; make a new token")
        return row.answer
