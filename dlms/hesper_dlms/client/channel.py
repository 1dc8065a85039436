"""APDUs between one client and one meter: ciphering, refusals and notifications taken care of."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hesper_dlms import apdu
from hesper_dlms.apdu import Conformance, ciphered, information_report, notification
from hesper_dlms.apdu.error import CONFIRMED_SERVICE_ERROR, EXCEPTION_RESPONSE
from hesper_dlms.association import CIPHERING_OVERHEAD
from hesper_dlms.client.general_blocks import GeneralBlocks
from hesper_dlms.client.settings import AssociationSettings
from hesper_dlms.errors import DecodeError, LinkError, LocalError, RemoteError, SecurityError
from hesper_dlms.exchange import ClientLink, Exchange
from hesper_dlms.security import Protection, SecurityContext

_NOTIFICATIONS_KEPT = 64
_PLAIN_NOTIFICATIONS = (
    notification.DATA_NOTIFICATION,
    notification.EVENT_NOTIFICATION,
    information_report.INFORMATION_REPORT,
)
_REFUSALS = (apdu.ExceptionResponse, apdu.ConfirmedServiceError)
_UNLIMITED = 0xFFFF


class Notification(NamedTuple):
    """A plain APDU that the meter sent unasked; `verified`: its tag was right."""

    apdu: bytes
    verified: bool


class Channel:
    """What services and the association send through.

    Args:
        link: The way to the meter.
        settings: Keys and limits.

    `protection` is how APDUs leave from now on; None as the security settings say.
    """

    def __init__(self, link: ClientLink, settings: AssociationSettings) -> None:
        self.link = link
        self._carrier: ClientLink | GeneralBlocks = link
        self.settings = settings
        self.security: SecurityContext | None = None
        self.protection: Protection | None = None
        self.meter_max_pdu = _UNLIMITED
        self.granted = Conformance(0)
        self.invoke_id = 0
        self.long_invoke_id = 0
        self._owed = False
        self._notifications: deque[Notification] = deque(maxlen=_NOTIFICATIONS_KEPT)

    @property
    def limit(self) -> int:
        """Octets that a plain request may have so that the meter takes it."""
        size = self.meter_max_pdu or _UNLIMITED
        if self.security is None:
            return size
        protection = self.protection or self.security.settings.protection
        more = protection.overhead(self.security.settings.suite) if protection else 0
        return size - CIPHERING_OVERHEAD - more

    @property
    def own_limit(self) -> int:
        """Octets that a plain response may have so that we take it."""
        size = self.settings.max_pdu or _UNLIMITED
        return size - CIPHERING_OVERHEAD if self.security else size

    def agree(self, granted: Conformance) -> None:
        """Use what the meter granted, general block transfer among it; nothing before that."""
        self.granted = granted
        self._owed = False
        self._carrier = self.link
        if granted & Conformance.GENERAL_BLOCK_TRANSFER:
            size, window = self.meter_max_pdu or _UNLIMITED, self.settings.block_window
            self._carrier = GeneralBlocks(self.link, size, window)

    def blocks_for(self, own_blocks: Conformance) -> bool:
        """Return whether a long request can leave: in blocks of its service, or general ones."""
        return bool(self.granted & (own_blocks | Conformance.GENERAL_BLOCK_TRANSFER))

    def takes(self, size: int, own_blocks: Conformance) -> bool:
        """Return whether a plain request of `size` octets is to leave whole.

        Raises:
            LocalError: It is too long for the meter, which granted no blocks for it.
        """
        if size <= self.limit:
            return True
        if self.granted & own_blocks:
            return False
        if self.granted & Conformance.GENERAL_BLOCK_TRANSFER:
            return True
        raise LocalError(
            f"a request of {size} octets, where the meter takes {self.limit} and granted no blocks"
        )

    def begin_security(self, meter_title: bytes | None) -> None:
        """Cipher from now on; the meter's title may become known later."""
        settings = self.settings
        if settings.security is None or settings.system_title is None:
            raise LocalError("there are no keys to cipher with")
        self.security = SecurityContext(
            settings.security, settings.system_title, meter_title, settings.received_counters
        )

    def next_counter(self) -> int:
        """Return a fresh invocation counter of ours."""
        if self.settings.invocation_counter is None:
            raise LocalError("there is no source of invocation counters")
        return self.settings.invocation_counter()

    def protect(self, plain: bytes, dedicated: bool = False) -> bytes:
        """Return an APDU as it goes out: ciphered where that was agreed."""
        if self.security is None:
            return plain
        return self.security.protect(
            plain, self.next_counter(), dedicated=dedicated, protection=self.protection
        )

    def tell(self, plain: bytes) -> Exchange[None]:
        """Send a service request that is not answered."""
        security = self.settings.security
        dedicated = security is not None and security.dedicated_key is not None
        yield from self.link.send(self.protect(plain, dedicated))

    def ask(self, plain: bytes) -> Exchange[apdu.Apdu]:
        """Send a service request, return what the meter answers.

        Raises:
            ServiceError: The meter answered with an exception or service error.
            SecurityError: The answer is not protected as it must be.
            DecodeError: The answer is no APDU.
            LinkError: No answer; or none came before, and by short names a late one would be taken
                for this one's, as answers have no invoke-id: connect again.
        """
        if self._owed and self.settings.short_names:
            raise LinkError("the answer to an earlier request may still come: connect again")
        security = self.settings.security
        dedicated = security is not None and security.dedicated_key is not None
        return self._answer(self._carrier.request(self.protect(plain, dedicated)))

    def ask_plainly(self, plain: bytes) -> Exchange[apdu.Apdu]:
        """Send an association APDU, which is never ciphered as a whole."""
        return _refused(apdu.parse((yield from self.carry_plainly(plain))))

    def carry_plainly(self, plain: bytes) -> Exchange[bytes]:
        """Send an association APDU; return the answer as it came, no notification."""
        octets = yield from self.link.request(plain)
        while octets[:1] and octets[0] in _PLAIN_NOTIFICATIONS:
            self._notifications.append(Notification(octets, verified=False))
            octets = yield from self.link.receive()
        return octets

    def carry(self, protected: bytes) -> Exchange[tuple[bytes, bytes]]:
        """Send a request that somebody else has written and protected.

        Returns:
            The answer as it came, after every check of `ask`, and the plain APDU inside it, which
            is not taken apart.

        Raises:
            ServiceError, SecurityError, DecodeError, LinkError: See `ask`.
        """
        octets = yield from self._carrier.request(protected)
        while (plain := self._set_apart(octets)) is None:
            octets = yield from self._carrier.receive()
        if plain[0] in (CONFIRMED_SERVICE_ERROR, EXCEPTION_RESPONSE):
            _refused(apdu.parse(plain))
        return octets, plain

    def wait(self) -> Exchange[apdu.Apdu]:
        """Return the next answer without asking: the last one belonged to an older request."""
        return self._answer(self._carrier.receive())

    def take_notifications(self) -> list[Notification]:
        """Return and forget what the meter sent unasked, oldest first."""
        for octets in self.link.take_notifications():
            try:
                self._set_apart(octets)
            except RemoteError:
                continue  # a push that cannot be believed is no reason to fail a reading
        taken = list(self._notifications)
        self._notifications.clear()
        return taken

    def _answer(self, awaited: Exchange[bytes]) -> Exchange[apdu.Apdu]:
        while True:
            self._owed = True
            octets = yield from awaited
            self._owed = False
            plain = self._set_apart(octets)
            if plain is not None:
                return _refused(apdu.parse(plain))
            awaited = self._carrier.receive()

    def _set_apart(self, octets: bytes) -> bytes | None:
        """Return the plain APDU of an answer; keep a notification and return None."""
        if not octets:
            raise DecodeError("an empty APDU", 0)
        if octets[0] in _PLAIN_NOTIFICATIONS:
            self._notifications.append(Notification(octets, verified=False))
            return None
        if self.security is None:
            if octets[0] in ciphered.TAGS or octets[0] in ciphered.LAYER_TAGS:
                raise SecurityError("a ciphered answer where no ciphering was agreed")
            return octets
        opened = self.security.open(octets)
        if opened.apdu[:1] and opened.apdu[0] in _PLAIN_NOTIFICATIONS:
            self._notifications.append(Notification(opened.apdu, opened.tag_verified))
            return None
        return opened.apdu


def _refused(answer: apdu.Apdu) -> apdu.Apdu:
    if isinstance(answer, _REFUSALS):
        raise answer.error()
    return answer
