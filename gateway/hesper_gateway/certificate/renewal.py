"""Asks for a new certificate in time, takes it, and tells when that fails."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from hesper_contracts import certificates
from hesper_contracts.certificates import RenewalRequest
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Keyring, Signer

from hesper_gateway.certificate.holding import Holding
from hesper_gateway.certificate.making import Wanted, born, fitted, wear
from hesper_gateway.errors import ConfigError

log = logging.getLogger(__name__)

_PARTS_OF_LIFE = 720
_LOOK_S = (1.0, 60.0)
OVERDUE, ENDED = "gateway.certificate_overdue", "gateway.certificate_ended"

Publish = Callable[[Kind, bytes], Awaitable[bool]]
Tell = Callable[[str, str], None]
Now = Callable[[], datetime | None]


@dataclass(frozen=True, slots=True)
class Self:
    """Who asks, and whose answers it believes."""

    gateway: str
    signer: Signer
    command_keys: Keyring


class Renewal:
    """Renews one gateway's certificate; `run` it as a task.

    Args:
        holding: The certificate and its successor.
        myself: Who asks.
        proven: Returns the proven time; None before there is one: then the machine's clock counts.
        tell: Tells a person, by code and text.

    Attributes:
        holding: The certificate and its successor.
        leave: Makes the connection anew, so that a successor is shown.
    """

    def __init__(self, holding: Holding, myself: Self, proven: Now, tell: Tell) -> None:
        self.holding = holding
        self._self = myself
        self._proven = proven
        self._tell = tell
        self._wanted: Wanted | None = None
        self.leave: Callable[[], None] = lambda: None

    def expires_at(self) -> datetime:
        """Returns when the certificate ends that the broker last took."""
        return self.holding.worn.ends

    def now(self) -> datetime:
        """Returns the proven time, or the machine's clock while there is none."""
        return self._proven() or datetime.now(UTC)

    def accept(self, payload: bytes) -> None:
        """Takes an answer that came down.

        Raises:
            Refused: not signed by the authority, or not what was asked for.
        """
        mine = self._self
        answer = certificates.answer_from_payload(payload, mine.command_keys, mine.gateway)
        wanted = self._wanted
        if wanted is None or answer.request != _digest(mine.gateway, wanted):
            raise Refused("a certificate came that was not asked for, or came already")
        try:
            pem = wear(wanted, answer.certificate)
            worn = fitted(pem, mine.gateway, self.now())
        except (ValueError, ConfigError) as error:
            raise Refused(f"the new certificate does not fit: {error}") from None
        self.holding.lay_beside(pem)
        self._wanted = None
        log.info("a new certificate has come, good until %s", worn.ends)
        self.leave()

    async def run(self, publish: Publish, connected: asyncio.Event) -> None:
        """Looks after the certificate for ever."""
        while True:
            worn, now = self.holding.worn, self.now()
            self._complain(now)
            if now < worn.renews_at:
                wait_s = (worn.renews_at - now).total_seconds()
                await asyncio.sleep(min(max(wait_s, _LOOK_S[0]), _LOOK_S[1]))
                continue
            if connected.is_set():
                await self._ask(publish)
            life_s = (worn.ends - worn.begins).total_seconds()
            await asyncio.sleep(max(life_s / _PARTS_OF_LIFE, _LOOK_S[0]))

    async def _ask(self, publish: Publish) -> None:
        """Asks; the same again until an answer comes, and anew when the broker took no answer."""
        if self.holding.has_successor:
            log.warning("the broker does not take the new certificate; asking for another")
            self.holding.discard_successor()
        if self._wanted is None:
            self._wanted = born(self._self.gateway)
        request = RenewalRequest(self._self.gateway, self._wanted.request)
        await publish(Kind.REQUESTS, certificates.request_to_payload(request, self._self.signer))

    def _complain(self, now: datetime) -> None:
        worn = self.holding.worn
        if now >= worn.ends:
            text = "the certificate is over; enrol this device again with a new token"
            self._tell(ENDED, text)
        elif now >= worn.overdue_at:
            text = f"the certificate ends at {worn.ends:%F %R} UTC and was not renewed"
            self._tell(OVERDUE, text)
        elif now < worn.begins:
            log.error(
                "the certificate begins at %s and the clock says %s; set it", worn.begins, now
            )


def _digest(gateway: str, wanted: Wanted) -> str:
    return RenewalRequest(gateway, wanted.request).digest
