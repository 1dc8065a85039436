"""Challenges and their proofs: HLS with GMAC (Green Book, 9.2.7.4, mechanism 5).

Each side sends a challenge in AARQ and AARE. Then the client proves that it has the keys:
f(StoC) = security control | invocation counter | GMAC(control | authentication key | StoC), in the
reply_to_HLS method of the association; the server answers f(CtoS). The nonce is the prover's title
and counter. A proof is fresh because the challenge is, so its counter is not held against the
counters of APDUs: meters take it before or after the one of the APDU around it.
"""

from __future__ import annotations

import secrets

from hesper_dlms.errors import LocalError, SecurityError
from hesper_dlms.security import gcm
from hesper_dlms.security.settings import AUTHENTICATED, SecuritySettings

SHORTEST_CHALLENGE = 8
LONGEST_CHALLENGE = 64
_PROOF_OCTETS = 1 + 4 + gcm.TAG_OCTETS


def new_challenge(octets: int = 16) -> bytes:
    """Return a random challenge of 8 to 64 octets."""
    if not SHORTEST_CHALLENGE <= octets <= LONGEST_CHALLENGE:
        raise LocalError(f"a challenge has 8 to 64 octets, not {octets}")
    return secrets.token_bytes(octets)


def check_challenge(ours: bytes, theirs: bytes | None) -> bytes:
    """Return the peer's challenge; SecurityError when it is missing, too short or our own."""
    if theirs is None or not SHORTEST_CHALLENGE <= len(theirs) <= LONGEST_CHALLENGE:
        raise SecurityError("the peer's challenge is missing or not of 8 to 64 octets")
    if theirs == ours:
        raise SecurityError("the peer sent our own challenge back (reflection)")
    return theirs


def _authenticated(settings: SecuritySettings, control: int, challenge: bytes) -> bytes:
    if settings.authentication_key is None:
        raise LocalError("HLS with GMAC needs the authentication key")
    return bytes((control,)) + settings.authentication_key + challenge


def prove(
    settings: SecuritySettings, system_title: bytes, invocation_counter: int, challenge: bytes
) -> bytes:
    """Return the 17 octets of f(challenge) by the owner of `system_title`."""
    control = AUTHENTICATED | settings.suite
    iv = gcm.nonce(system_title, invocation_counter)
    tag = gcm.authenticate(
        settings.encryption_key, iv, _authenticated(settings, control, challenge)
    )
    return bytes((control,)) + iv[gcm.SYSTEM_TITLE_OCTETS :] + tag


def verify(settings: SecuritySettings, system_title: bytes, proof: bytes, challenge: bytes) -> int:
    """Check f(challenge) made by the owner of `system_title`; return its invocation counter.

    Raises:
        SecurityError: The proof is not 17 octets, names another suite, or does not fit.
    """
    if len(proof) != _PROOF_OCTETS or proof[0] != AUTHENTICATED | settings.suite:
        raise SecurityError("the answer to our challenge is no GMAC proof")
    counter = int.from_bytes(proof[1:5], "big")
    iv = gcm.nonce(system_title, counter)
    gcm.check(settings.encryption_key, iv, proof[5:], _authenticated(settings, proof[0], challenge))
    return counter
