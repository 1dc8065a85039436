"""What a meter has to be so that `hesper_dlms.server` can serve it.

A meter implements `CosemServer`: who may associate and how, its keys, and GET, SET and ACTION on
its objects in encoded octets. `LogicalServer` adds what one meter keeps across connections: the
invocation counters of both directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from hesper_dlms.apdu import (
    ALL_LOGICAL_NAME_SERVICES,
    AccessSelection,
    Conformance,
    CosemAttribute,
    CosemMethod,
)
from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.errors import LocalError
from hesper_dlms.security import (
    TRANSACTION_NAMES,
    Authority,
    HlsFunction,
    PeerKeys,
    ReceivedCounters,
    SecuritySettings,
)
from hesper_dlms.short_names import ShortNames

_NOBODY = PeerKeys()


@dataclass(frozen=True, slots=True)
class ClientRole:
    """How one client address associates.

    Args:
        authentication: The one mechanism that is accepted.
        ciphered: Whether its APDUs must be authenticated and encrypted with the global keys.
        password: The secret of LLS, and of HLS with MD5, SHA-1, SHA-256 or a manufacturer's own;
            where one is needed an empty one would let anybody in.
        referencing: Whether attributes are named by logical or by short names; the latter needs
            objects that are `ShortNamed`.
        policy: What its APDUs need at least, if that differs from the meter's.
        signed: Whether they must be signed, too.
        peer: Its public keys.
        authority: Who vouches for its public keys instead, by the certificate in its AARQ.
        hls_function: A manufacturer's own mechanism (2).
        shortest_challenge: Octets that its challenge must have; None as the standard says (8, for
            ECDSA 32). Gurux's clients send 16 with ECDSA.
    """

    authentication: Authentication = Authentication.NONE
    ciphered: bool = False
    password: bytes = field(default=b"", repr=False)
    referencing: Referencing = Referencing.LOGICAL_NAME
    policy: int | None = None
    signed: bool = False
    peer: PeerKeys = _NOBODY
    authority: Authority | None = field(default=None, repr=False)
    hls_function: HlsFunction | None = field(default=None, repr=False)
    shortest_challenge: int | None = None

    def __post_init__(self) -> None:
        if self.authentication.needs_secret and not self.password:
            raise LocalError(f"a role with {self.authentication.name} needs a secret")
        if not self.ciphered and (self.signed or self.policy is not None):
            raise LocalError("signatures and a policy are for roles that are ciphered")

    @property
    def needs_titles(self) -> bool:
        """Whether both sides must give their system titles."""
        return self.ciphered or self.authentication.proves_titles


class CosemServer(Protocol):
    """The objects behind one logical device.

    GET, SET and ACTION raise `ServiceError(code)` to refuse; the code is a data-access-result or an
    action-result.
    """

    @property
    def system_title(self) -> bytes:
        """8 octets."""
        ...

    @property
    def security(self) -> SecuritySettings | None:
        """Suite and global keys; None for a meter without. Asked at every association."""
        ...

    @property
    def clients(self) -> Mapping[int, ClientRole]:
        """Roles by client address; others are refused."""
        ...

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        """Return the encoded value; `hesper_dlms.apdu.selector_of` reads the selection."""
        ...

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        """Write an encoded value, which is known to parse."""
        ...

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        """Carry a method out; return its encoded return value, if it has one."""
        ...


@runtime_checkable
class ShortNamed(Protocol):
    """Objects that also have short names, for clients whose role says `Referencing.SHORT_NAME`.

    GET, SET and ACTION stay what they are: short names are resolved before the objects are asked,
    and the association view (class 12, attribute 2) is answered from `short_names`.
    """

    @property
    def short_names(self) -> ShortNames:
        """The base names of all objects; one instance may serve a whole fleet of one model."""
        ...


@runtime_checkable
class SelectiveWriter(Protocol):
    """Objects that can also write what a selection takes of an attribute (SET with selection).

    Without it such a request is refused: scope-of-access-violated.
    """

    def set_selected(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection, octets: bytes
    ) -> None:
        """Write an encoded value to a part of an attribute."""
        ...


class LogicalServer:
    """One meter with what it keeps across connections.

    Args:
        objects: The meter's objects.
        sent_counter: The next invocation counter that the meter uses.
        received_counters: What was taken from clients; see `SecurityContext`.
        max_pdu: The largest APDU that the meter takes, in octets.
        conformance: What the meter grants of what a client proposes, with logical names.
        block_window: General blocks that the meter takes in a row, 1 to 63.
    """

    __slots__ = (
        "_received_counters",
        "block_window",
        "conformance",
        "max_pdu",
        "objects",
        "sent_counter",
    )

    def __init__(
        self,
        objects: CosemServer,
        sent_counter: int = 1,
        received_counters: ReceivedCounters | None = None,
        max_pdu: int = 0xFFFF,
        conformance: Conformance = ALL_LOGICAL_NAME_SERVICES,
        block_window: int = 16,
    ) -> None:
        self.objects = objects
        self.conformance = conformance
        self.block_window = block_window
        self.sent_counter = sent_counter
        self._received_counters = received_counters
        self.max_pdu = max_pdu

    @property
    def received_counters(self) -> ReceivedCounters:
        """What was taken from clients; made when the first of them ciphers."""
        if self._received_counters is None:
            self._received_counters = {}
        return self._received_counters

    def next_counter(self) -> int:
        """Return an invocation counter that was never used before."""
        counter = self.sent_counter
        self.sent_counter += 1
        return counter

    def quick_get(self, client: int, descriptor: bytes) -> bytes | None:
        """Return the encoded value of an attribute, or None to ask `objects.get` for it.

        A short cut for servers of thousands of meters: what it gives has 16 octets at most, and is
        what `objects.get` would give. This one never takes it.

        Args:
            client: The client's address.
            descriptor: Class, logical name and attribute as they travel: 9 octets.
        """
        del client, descriptor
        return None

    def leaving(self, apdu: bytes) -> bytes:
        """Return an answer as it leaves, before it is ciphered: as it is.

        Override it to observe answers, or to let a simulated meter misbehave.
        """
        return apdu

    @property
    def last_received_counter(self) -> int:
        """The highest counter taken from any client: what object 0.0.43.1.x.255 shows."""
        counters = self.received_counters.items()
        return max(
            (last for name, last in counters if not name.startswith(TRANSACTION_NAMES)), default=0
        )
