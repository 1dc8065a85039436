"""Challenges and their proofs: high level security (Green Book, 9.2.2.2.2.4 and 9.2.7.4).

Each side sends a challenge in AARQ (CtoS) and AARE (StoC). Then the client proves what it knows by
f(StoC) in the method reply_to_HLS of the association, and the server answers with f(CtoS):

    mechanism   f(challenge)
    2           the manufacturer's own function
    3 MD5       MD5(challenge | secret)
    4 SHA-1     SHA-1(challenge | secret)
    5 GMAC      SC | IC | GMAC(SC | authentication key | challenge), the prover's title in its nonce
    6 SHA-256   SHA-256(secret | prover's title | other's title | challenge | prover's challenge)
    7 ECDSA     the signature over (prover's title | other's title | challenge | prover's challenge)

A proof is fresh because the challenge is, so the counter inside GMAC's is not held against those of
APDUs: meters take it before or after the one of the APDU around it. Mechanisms 3 and 4 name neither
side, so that a proof could be passed on between two associations; nothing but ciphering helps.

hashlib, hmac and secrets are imported where they are used: 6 ms and 5 MB for those who need them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hesper_dlms.association import Authentication
from hesper_dlms.errors import LocalError, SecurityError
from hesper_dlms.security import gcm
from hesper_dlms.security.key_pairs import PublicKey
from hesper_dlms.security.settings import AUTHENTICATED, SecuritySettings

SHORTEST_CHALLENGE = 8
SHORTEST_ECDSA_CHALLENGE = 32
LONGEST_CHALLENGE = 64
_USUAL_CHALLENGE = 16
_PROOF_OCTETS = 1 + 4 + gcm.TAG_OCTETS

HlsFunction = Callable[[bytes, bytes], bytes]
"""A manufacturer's f: takes the secret and the challenge, returns the proof."""


def same_secret(ours: bytes, theirs: bytes) -> bool:
    """Return whether two secrets are equal, in a time that does not tell where they differ."""
    import hmac

    return hmac.compare_digest(ours, theirs)


def shortest_challenge(mechanism: Authentication) -> int:
    """Return how many octets a challenge has at least."""
    ecdsa = mechanism is Authentication.HIGH_ECDSA
    return SHORTEST_ECDSA_CHALLENGE if ecdsa else SHORTEST_CHALLENGE


def usual_challenge(mechanism: Authentication) -> int:
    """Return how many octets our challenges have unless told otherwise: 16, for ECDSA 32."""
    return max(_USUAL_CHALLENGE, shortest_challenge(mechanism))


def new_challenge(octets: int = _USUAL_CHALLENGE) -> bytes:
    """Return a random challenge of 8 to 64 octets."""
    import secrets

    if not SHORTEST_CHALLENGE <= octets <= LONGEST_CHALLENGE:
        raise LocalError(f"a challenge has 8 to 64 octets, not {octets}")
    return secrets.token_bytes(octets)


def check_challenge(ours: bytes, theirs: bytes | None, shortest: int = SHORTEST_CHALLENGE) -> bytes:
    """Return the peer's challenge; SecurityError when it is missing, too short or our own."""
    if theirs is None or not shortest <= len(theirs) <= LONGEST_CHALLENGE:
        raise SecurityError(
            f"the peer's challenge is missing or not of {shortest} to {LONGEST_CHALLENGE} octets"
        )
    if same_secret(ours, theirs):
        raise SecurityError("the peer sent our own challenge back (reflection)")
    return theirs


def _authenticated(settings: SecuritySettings, control: int, challenge: bytes) -> bytes:
    if settings.authentication_key is None:
        raise LocalError("HLS with GMAC needs the authentication key")
    return bytes((control,)) + settings.authentication_key + challenge


def prove(
    settings: SecuritySettings, system_title: bytes, invocation_counter: int, challenge: bytes
) -> bytes:
    """Return the 17 octets of f(challenge) with GMAC, by the owner of `system_title`."""
    control = AUTHENTICATED | settings.suite
    iv = gcm.nonce(system_title, invocation_counter)
    tag = gcm.authenticate(
        settings.encryption_key, iv, _authenticated(settings, control, challenge)
    )
    return bytes((control,)) + iv[gcm.SYSTEM_TITLE_OCTETS :] + tag


def verify(settings: SecuritySettings, system_title: bytes, proof: bytes, challenge: bytes) -> int:
    """Check f(challenge) with GMAC by the owner of `system_title`; return its counter.

    Raises:
        SecurityError: The proof is not 17 octets, names another suite, or does not fit.
    """
    if len(proof) != _PROOF_OCTETS or proof[0] != AUTHENTICATED | settings.suite:
        raise SecurityError("the answer to our challenge is no GMAC proof")
    counter = int.from_bytes(proof[1:5], "big")
    iv = gcm.nonce(system_title, counter)
    gcm.check(settings.encryption_key, iv, proof[5:], _authenticated(settings, proof[0], challenge))
    return counter


class Handshake(NamedTuple):
    """One side of an exchange of challenges; nothing secret shows in repr.

    Args:
        mechanism: One of HLS.
        system_title: Ours; empty where the mechanism needs none.
        peer_system_title: The other side's.
        ours: The challenge that we sent.
        theirs: The challenge that we were sent.
        secret: For mechanisms 2, 3, 4 and 6.
        settings: For GMAC (the global keys) and ECDSA (our signing key).
        signer: The other side's signing key, for ECDSA.
        function: For mechanism 2.
    """

    mechanism: Authentication
    system_title: bytes
    peer_system_title: bytes
    ours: bytes
    theirs: bytes
    secret: bytes = b""
    settings: SecuritySettings | None = None
    signer: PublicKey | None = None
    function: HlsFunction | None = None

    def __repr__(self) -> str:
        titles = self.system_title.hex(), self.peer_system_title.hex()
        return f"Handshake({self.mechanism.name}, {titles[0]}, {titles[1]})"

    def prove(self, next_counter: Callable[[], int]) -> bytes:
        """Return f(their challenge); GMAC alone asks for an invocation counter of ours."""
        if self.mechanism is Authentication.HIGH_GMAC:
            return prove(self._keys(), self.system_title, next_counter(), self.theirs)
        if self.mechanism is Authentication.HIGH_ECDSA:
            key = self._keys().signing_key
            if key is None:
                raise LocalError("HLS with ECDSA needs a signing key")
            return key.sign(self.system_title + self.peer_system_title + self.theirs + self.ours)
        titles = self.system_title + self.peer_system_title
        return self._digest(titles, self.theirs, self.ours)

    def check(self, proof: bytes) -> None:
        """Raise SecurityError unless `proof` is the other side's f(our challenge)."""
        if self.mechanism is Authentication.HIGH_GMAC:
            verify(self._keys(), self.peer_system_title, proof, self.ours)
            return
        titles = self.peer_system_title + self.system_title
        if self.mechanism is Authentication.HIGH_ECDSA:
            if self.signer is None:
                raise SecurityError("the peer's signing key is not known")
            self.signer.verify(proof, titles + self.ours + self.theirs)
        elif not same_secret(self._digest(titles, self.ours, self.theirs), proof):
            raise SecurityError("the answer to our challenge is wrong")

    def _digest(self, titles: bytes, challenge: bytes, other: bytes) -> bytes:
        import hashlib

        if self.mechanism is Authentication.HIGH_SHA256:
            return hashlib.sha256(self.secret + titles + challenge + other).digest()
        # Not flagged as security by intent: a FIPS build of OpenSSL would refuse both otherwise.
        if self.mechanism is Authentication.HIGH_MD5:
            return hashlib.md5(challenge + self.secret, usedforsecurity=False).digest()
        if self.mechanism is Authentication.HIGH_SHA1:
            return hashlib.sha1(challenge + self.secret, usedforsecurity=False).digest()
        if self.mechanism is Authentication.HIGH and self.function is not None:
            return self.function(self.secret, challenge)
        raise LocalError(f"{self.mechanism.name} cannot be carried out with what was given")

    def _keys(self) -> SecuritySettings:
        if self.settings is None:
            raise LocalError(f"{self.mechanism.name} needs keys")
        return self.settings
