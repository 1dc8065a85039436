"""Gateways' certificates are renewed over the broker, on the word of the key on record.

A request is believed if it is signed with the Ed25519 key that the gateway enrolled with: the
broker's word for who published it is not needed, and a stolen certificate alone gets no other. What
is refused is audited, of each gateway one in ten minutes, and answered with silence; names that
nobody was given, which whoever holds the broker can invent without end, leave no row.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Empty, Queue

from hesper_contracts import certificates
from hesper_contracts.certificates import RenewalAnswer
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Keyring, Signer
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.ca.issuing import Asking, Issuing
from hesper_cloud.ca.profile import CertificateRefused
from hesper_cloud.db.authority import GatewayKey, ShutOut
from hesper_cloud.db.engines import writing

_log = logging.getLogger(__name__)
MOST_WAITING, _AT_ONCE = 200, 20
_QUIET = timedelta(minutes=10)

Answer = Callable[[str, bytes], None]
"""Publishes a payload on a gateway's ``down/answers``."""


class RenewalDesk:
    """Takes signed requests from the broker's thread and answers them on the deciding one."""

    def __init__(self, issuing: Issuing, signer: Signer, answer: Answer) -> None:
        self._issuing = issuing
        self._signer = signer
        self._answer = answer
        self._waiting: Queue[tuple[str, bytes]] = Queue(MOST_WAITING)
        self._noted: dict[str, datetime] = {}

    def take(self, gateway: str, payload: bytes) -> None:
        """Notes a request; one that finds no room is asked again by its gateway."""
        if not self._waiting.full():
            self._waiting.put_nowait((gateway, payload))

    def settle(self, authority: Engine, now: datetime) -> None:
        """Answers what waits; each certificate is durable before it is told."""
        for _ in range(_AT_ONCE):
            try:
                gateway, payload = self._waiting.get_nowait()
            except Empty:
                return
            with writing(authority) as session:
                answer = self._decide(session, gateway, payload, now)
            if answer is not None:
                self._answer(gateway, certificates.answer_to_payload(answer, self._signer))

    def _decide(
        self, session: Session, gateway: str, payload: bytes, now: datetime
    ) -> RenewalAnswer | None:
        try:
            request = certificates.request_from_payload(payload, _key(session, gateway), gateway)
            asking = Asking(gateway, request.certificate_request, f"gateway:{gateway}")
            issued = self._issuing.give(session, asking, now)
        except (Refused, CertificateRefused) as refusal:
            self._note(session, gateway, str(refusal), now)
            return None
        if issued is None:
            return None
        return RenewalAnswer(gateway, request.digest, issued)

    def _note(self, session: Session, gateway: str, why: str, now: datetime) -> None:
        last = self._noted.get(gateway)
        if last is not None and abs(now - last) < _QUIET:
            return
        if not any(session.get(each, gateway) for each in (GatewayKey, ShutOut)):
            return
        self._noted[gateway] = now
        _log.warning("a certificate for %s is refused: %s", gateway, why)
        entry = audit.Entry(f"gateway:{gateway}", "certificate.refused", gateway, why=why)
        audit.append(session, now, entry)


def _key(session: Session, gateway: str) -> Keyring:
    """Returns the key on record.

    Raises:
        CertificateRefused: there is none, or the gateway is shut out.
    """
    row = session.get(GatewayKey, gateway)
    if row is None or session.get(ShutOut, gateway) is not None:
        raise CertificateRefused("no key is on record, or the gateway is shut out")
    return Keyring.of(bytes.fromhex(row.public_key))
