"""What one side of an association knows and insists on: suite, keys, policy."""

from __future__ import annotations

from dataclasses import dataclass, field

from hesper_dlms.errors import LocalError
from hesper_dlms.security.key_pairs import PeerKeys, PrivateKey
from hesper_dlms.security.protection import Form, Protection, Signature

AUTHENTICATED = 0x10
ENCRYPTED = 0x20
BROADCAST_KEY = 0x40
COMPRESSED = 0x80
AUTHENTICATED_ENCRYPTION = AUTHENTICATED | ENCRYPTED
SUITE_BITS = 0x0F

_NOBODY = PeerKeys()
_POLICIES = (0, AUTHENTICATED, ENCRYPTED, AUTHENTICATED_ENCRYPTION)
_KEY_OCTETS = {0: 16, 1: 16, 2: 32}


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """Keys and policy. Keys never show in repr.

    Args:
        suite: 0 (AES-128-GCM), 1 (the same, with P-256) or 2 (AES-256-GCM, with P-384).
        encryption_key: The global unicast encryption key.
        authentication_key: The global authentication key; None when nobody gave it to us.
        authentication_key_unknown: Says that on purpose: then tags cannot be verified, what is only
            encrypted is accepted too, and every message is reported with `tag_verified` false.
        broadcast_key: The global broadcast encryption key; without it such messages are refused.
        dedicated_key: The key of this association alone, sent in its InitiateRequest.
        policy: What an APDU needs at least; authenticated encryption unless a template lowers it.
            0 where a signature alone protects; then `signed` must say so.
        general: Protect with general-glo/general-ded instead of the service-specific tags.
        any_suite: Accept every suite that ciphers with keys of this length: pushes come outside an
            association, where no suite was agreed, and suites 0 and 1 cipher alike.
        master_key: The key-encrypting key, for wrapped keys.
        signing_key: Ours, for digital signatures and HLS with ECDSA.
        agreement_key: Ours, for keys that both sides derive.
        peer: What is known of the other side's public keys.
        certificate: Of our signing key (X.509, DER), sent in AARQ or AARE.
        signed: Refuse what the other side has not signed.
        protection: How APDUs leave; None as `general` says.
    """

    suite: int
    encryption_key: bytes = field(repr=False)
    authentication_key: bytes | None = field(default=None, repr=False)
    authentication_key_unknown: bool = False
    broadcast_key: bytes | None = field(default=None, repr=False)
    dedicated_key: bytes | None = field(default=None, repr=False)
    policy: int = AUTHENTICATED_ENCRYPTION
    general: bool = False
    any_suite: bool = False
    master_key: bytes | None = field(default=None, repr=False)
    signing_key: PrivateKey | None = field(default=None, repr=False)
    agreement_key: PrivateKey | None = field(default=None, repr=False)
    peer: PeerKeys = _NOBODY
    certificate: bytes | None = field(default=None, repr=False)
    signed: bool = False
    protection: Protection | None = None

    def __post_init__(self) -> None:
        octets = _KEY_OCTETS.get(self.suite)
        if octets is None:
            raise LocalError(f"security suite {self.suite} does not exist")
        keys = (self.encryption_key, self.authentication_key, self.broadcast_key)
        for key in (*keys, self.dedicated_key, self.master_key):
            if key is not None and len(key) != octets:
                raise LocalError(f"suite {self.suite} takes keys of {octets} octets")
        if self.policy not in _POLICIES or (not self.policy and not self.signed):
            raise LocalError(f"security policy 0x{self.policy:02X} protects nothing")
        if self.authentication_key is not None and self.authentication_key_unknown:
            raise LocalError("an authentication key that is given is not unknown")
        self._check_key_pairs()

    def _check_key_pairs(self) -> None:
        pairs = (self.signing_key, self.agreement_key, *self.peer)
        if any(pair is not None and pair.suite != self.suite for pair in pairs):
            raise LocalError(f"a key pair is not one of suite {self.suite}")
        if self.signed and not self.suite:
            raise LocalError("suite 0 has no signatures")
        out = self.protection
        if out is not None and out.signature is not Signature.NONE and self.signing_key is None:
            raise LocalError("a signing key is needed to sign")
        if out is not None and out.form is Form.NONE and self.policy:
            raise LocalError("APDUs must leave ciphered where the policy asks for it of the peer")

    def accepts(self, suite: int) -> bool:
        """Return whether a received APDU may name this suite."""
        alike = _KEY_OCTETS.get(suite) == _KEY_OCTETS[self.suite]
        return suite == self.suite or (self.any_suite and alike)
