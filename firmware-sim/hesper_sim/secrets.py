"""The secrets of simulated meters, all derived from the fleet's seed: they protect nothing real.

Nothing is kept per meter; whoever knows the seed computes them again, which is what `hesper-sim
keys` prints for a client that wants to connect.
"""

from __future__ import annotations

import hashlib
from typing import Final

KEY_OCTETS: Final = {0: 16, 1: 16, 2: 32}
"""Octets of a symmetric key by security suite (Green Book, 9.2.3.7)."""
KEY_PAIR_OCTETS: Final = {1: 32, 2: 48}
HEAD_END: Final = "head end"
"""Owner of the key pairs that every meter of a fleet knows as its client's."""
_ORDER: Final = {
    1: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    2: int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
}
"""Order of the curve's base point by suite: P-256 and P-384 (FIPS 186-4, D.1.2)."""


def symmetric(seed: int, serial: str, purpose: str, suite: int = 0) -> bytes:
    """Return a key of the suite's length."""
    return hashlib.sha256(f"{seed}/{serial}/{purpose}".encode()).digest()[: KEY_OCTETS[suite]]


def private_key(seed: int, owner: str, purpose: str, suite: int) -> bytes:
    """Return the number of a private key on the curve of suite 1 or 2, big-endian."""
    drawn = hashlib.shake_256(f"{seed}/{owner}/{purpose}/{suite}".encode()).digest(64)
    number = int.from_bytes(drawn, "big") % (_ORDER[suite] - 1) + 1
    return number.to_bytes(KEY_PAIR_OCTETS[suite], "big")
