"""Protecting and checking APDUs: the one place where the security policy of DLMS is enforced.

Sending: the invocation counter of a key only ever grows, because a nonce used twice gives the key
away. Receiving, in this order:

1. An APDU without ciphering is refused, except the two error answers that are never ciphered.
2. The security control octet must name our suite and no bit that we do not know or did not allow.
3. It must carry at least what the policy asks for: no stripped tag, no plain text.
4. The sender's system title must be the one agreed on.
5. The tag must be right; only then is anything else believed.
6. What was inside must be the service that the outside named.
7. The invocation counter must be higher than every one before it from this title with this key.

General-ciphering and general-signing obey the same rules; see `layers`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hesper_dlms.apdu.ciphered import (
    DED_TAGS,
    GENERAL_DED,
    GENERAL_GLO,
    GLO_TAGS,
    LAYER_TAGS,
    PLAIN_TAGS,
    TAGS,
    Ciphered,
    write_service,
)
from hesper_dlms.apdu.error import (
    CONFIRMED_SERVICE_ERROR,
    EXCEPTION_RESPONSE,
    ConfirmedServiceError,
    ExceptionResponse,
)
from hesper_dlms.errors import LocalError, SecurityError
from hesper_dlms.security import gcm
from hesper_dlms.security.key_pairs import PeerKeys
from hesper_dlms.security.protection import Protection
from hesper_dlms.security.received import Received, ReceivedCounters
from hesper_dlms.security.sealing import Way, open_by, seal_by
from hesper_dlms.security.settings import (
    AUTHENTICATED,
    AUTHENTICATED_ENCRYPTION,
    BROADCAST_KEY,
    COMPRESSED,
    SUITE_BITS,
    SecuritySettings,
)

if TYPE_CHECKING:
    from hesper_dlms.security.layers import Layers

_REFUSALS = {
    EXCEPTION_RESPONSE: ExceptionResponse.from_octets,
    CONFIRMED_SERVICE_ERROR: ConfirmedServiceError.from_octets,
}
"""What a server says without ciphering; whole and well-formed, or it is not accepted either."""


class Opened(NamedTuple):
    """A protected APDU after every check: the plain APDU and how it came.

    `protection` says how to answer in kind where general-ciphering or general-signing was used;
    None for the other forms, which their tag tells apart.
    """

    apdu: bytes
    tag_verified: bool
    security_control: int
    invocation_counter: int
    system_title: bytes
    signed: bool = False
    protection: Protection | None = None


class SecurityContext:
    """The keys and counters between us and one peer.

    Args:
        settings: Suite, keys and policy.
        system_title: Ours, 8 octets.
        peer_system_title: Theirs; None where every message names it (pushes) or it comes later.
        received: The last counters accepted; give the same mapping to every association with a
            meter, so that a message recorded in one is not accepted in the next.
    """

    def __init__(
        self,
        settings: SecuritySettings,
        system_title: bytes,
        peer_system_title: bytes | None = None,
        received: ReceivedCounters | None = None,
    ) -> None:
        self.settings = settings
        self.system_title = system_title
        self.peer_system_title = peer_system_title
        self.received = Received(received)
        self._sent: dict[bytes, int] = {}
        # What the settings say about each way, worked out once and not for each APDU: 6 µs less.
        self._ready_keys: dict[bytes, gcm.GcmKey] = {}
        self._ways_out: dict[bool, Way] = {}
        self._ways_in: dict[tuple[int, int], Way] = {}
        self._layers: Layers | None = None

    def __repr__(self) -> str:
        peer = None if self.peer_system_title is None else self.peer_system_title.hex()
        return (
            f"SecurityContext(suite={self.settings.suite}, "
            f"system_title={self.system_title.hex()}, peer_system_title={peer})"
        )

    def protect(
        self,
        apdu: bytes,
        invocation_counter: int,
        *,
        dedicated: bool = False,
        protection: Protection | None = None,
    ) -> bytes:
        """Return the APDU ciphered as the settings' policy says.

        A service without a ciphered tag of its own (data-notification) travels as general-glo.

        Args:
            apdu: A plain APDU.
            invocation_counter: Ours; higher than in every call before with this key.
            dedicated: Use the dedicated key.
            protection: The form of this APDU; None for that of the settings.

        Raises:
            LocalError: A key is missing, or the counter was used or is exhausted.
        """
        protection = protection or self.settings.protection
        if protection is not None:
            return self.layers.protect(apdu, invocation_counter, protection)
        way = self._ways_out.get(dedicated) or self._way_out(dedicated=dedicated)
        self.spend(way.key, invocation_counter)
        octets = seal_by(way, gcm.nonce(self.system_title, invocation_counter), apdu)
        tag = None if self.settings.general or dedicated else GLO_TAGS.get(apdu[0] if apdu else 0)
        if tag is not None:
            return write_service(tag, way.control, invocation_counter, octets)
        tag, title = self._outer_tag(apdu, dedicated=dedicated)
        return Ciphered(tag, way.control, invocation_counter, octets, title).to_octets()

    def _way_out(self, *, dedicated: bool) -> Way:
        control = self.settings.policy | self.settings.suite
        head = self.authenticated_head(control) if control & AUTHENTICATED else b""
        way = Way(self.ready(self._key(dedicated=dedicated)), control, head)
        self._ways_out[dedicated] = way
        return way

    def _outer_tag(self, apdu: bytes, *, dedicated: bool) -> tuple[int, bytes | None]:
        tags = DED_TAGS if dedicated else GLO_TAGS
        if self.settings.general or not apdu or apdu[0] not in tags:
            return GENERAL_DED if dedicated else GENERAL_GLO, self.system_title
        return tags[apdu[0]], None

    def _key(self, *, dedicated: bool) -> bytes:
        if not dedicated:
            return self.settings.encryption_key
        if self.settings.dedicated_key is None:
            raise LocalError("there is no dedicated key")
        return self.settings.dedicated_key

    def ready(self, key: bytes) -> gcm.GcmKey:
        """Return a key set up for use, once for this association."""
        ready = self._ready_keys.get(key)
        if ready is None:
            ready = self._ready_keys[key] = gcm.GcmKey(key)
        return ready

    def spend(self, key: gcm.GcmKey, counter: int) -> None:
        """Note that a counter of ours was used; LocalError when it was before."""
        if not 0 <= counter < gcm.LAST_COUNTER:
            raise LocalError("the invocation counter is exhausted: change the key")
        if counter <= self._sent.get(key.fingerprint, -1):
            raise LocalError(f"invocation counter {counter} was used before with this key")
        self._sent[key.fingerprint] = counter

    def authenticated_head(self, control: int) -> bytes:
        """Return what every tag covers first: security control and authentication key."""
        if self.settings.authentication_key is None:
            raise LocalError("there is no authentication key")
        return bytes((control,)) + self.settings.authentication_key

    def learn(self, peer: PeerKeys) -> None:
        """Take over what became known of the peer's public keys."""
        self.settings = replace(self.settings, peer=peer)

    @property
    def layers(self) -> Layers:
        """What protects in the other forms; imported at first use, few clients need it."""
        if self._layers is None:
            from hesper_dlms.security.layers import Layers

            self._layers = Layers(self)
        return self._layers

    def unprotect(self, octets: bytes) -> bytes:
        """Return the plain APDU inside; see `open` for what is checked."""
        return self.open(octets).apdu

    def open(self, octets: bytes) -> Opened:
        """Check a received APDU and return what is inside.

        exception-response and confirmed-service-error are never ciphered: they come back as they
        are, with `tag_verified` false.

        Raises:
            SecurityError: Any check of the policy fails; nothing has changed then.
            DecodeError: The octets are no APDU.
        """
        refused = _REFUSALS.get(octets[0]) if octets else None
        if refused is not None:
            refused(octets)
            return Opened(octets, False, 0, 0, self.peer_system_title or b"")
        if octets and octets[0] in LAYER_TAGS:
            return self.layers.open(octets)
        if not octets or octets[0] not in TAGS:
            raise SecurityError("an APDU without ciphering where ciphering was agreed")
        return self.open_ciphered(Ciphered.from_octets(octets))

    def open_ciphered(self, ciphered: Ciphered) -> Opened:
        """Check a received APDU that is already taken apart; see `open`."""
        opened = self.decipher(ciphered)
        if opened.apdu[0] in LAYER_TAGS or self.settings.signed:
            return self.layers.open_inside(opened, ciphered)
        return opened

    def decipher(self, ciphered: Ciphered) -> Opened:
        """Take this one layer off after checking it; what is inside may be signed."""
        control, counter = ciphered.security_control, ciphered.invocation_counter
        way = self._ways_in.get((control, ciphered.tag)) or self._way_in(ciphered)
        title = self.sender(ciphered.system_title)
        iv = title + counter.to_bytes(4, "big")  # what `gcm.nonce` would check was checked
        apdu, verified = open_by(way, iv, ciphered.octets)
        self._check_service(ciphered, apdu)
        self.received.take_counter(title, way.key, counter, verified)
        return Opened(apdu, verified, control, counter, title)

    def _way_in(self, ciphered: Ciphered) -> Way:
        control = ciphered.security_control
        self.check_control(control)
        verifiable = control & AUTHENTICATED and not self.settings.authentication_key_unknown
        head = self.authenticated_head(control) if verifiable else b""
        way = Way(self.ready(self._received_key(ciphered)), control, head)
        self._ways_in[control, ciphered.tag] = way
        return way

    def check_control(self, control: int) -> None:
        """Raise SecurityError unless the settings allow this security control octet."""
        if not self.settings.accepts(control & SUITE_BITS):
            raise SecurityError(f"security suite {control & SUITE_BITS} was not agreed")
        if control & COMPRESSED:
            raise SecurityError("compressed APDUs are not accepted")
        if control & BROADCAST_KEY and self.settings.broadcast_key is None:
            raise SecurityError("a broadcast key was used that we do not have")
        policy = self.settings.policy
        if self.settings.authentication_key_unknown:
            policy &= ~AUTHENTICATED
        elif self.settings.authentication_key is None and (policy | control) & AUTHENTICATED:
            raise SecurityError(
                "there is no authentication key, so the tag cannot be verified; "
                "authentication_key_unknown accepts that explicitly"
            )
        if control & policy != policy or not control & AUTHENTICATED_ENCRYPTION:
            raise SecurityError(
                f"security control 0x{control:02X} protects less than was agreed (downgrade)"
            )

    def sender(self, named: bytes | None) -> bytes:
        """Return the sender's title, which the APDU may name; SecurityError if not the peer's."""
        title = named or self.peer_system_title
        if title is None or len(title) != gcm.SYSTEM_TITLE_OCTETS:
            raise SecurityError("the sender's system title is not known")
        if self.peer_system_title not in (None, title):
            raise SecurityError(f"system title {title.hex()} is not the peer's")
        return title

    def _received_key(self, ciphered: Ciphered) -> bytes:
        if ciphered.security_control & BROADCAST_KEY and self.settings.broadcast_key is not None:
            return self.settings.broadcast_key
        if not ciphered.dedicated:
            return self.settings.encryption_key
        if self.settings.dedicated_key is None:
            raise SecurityError("a dedicated key was used that was not agreed")
        return self.settings.dedicated_key

    def last_received(self) -> int:
        """Return the last counter taken from the peer with the global unicast key; -1 for none."""
        key = self.ready(self.settings.encryption_key)
        return self.received.last_counter(self.peer_system_title or b"", key)

    @staticmethod
    def _check_service(ciphered: Ciphered, apdu: bytes) -> None:
        expected = PLAIN_TAGS.get(ciphered.tag)
        if not apdu or apdu[0] in TAGS or expected not in (None, apdu[0]):
            raise SecurityError("the APDU inside is not the service that was named outside")
