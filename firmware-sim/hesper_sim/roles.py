"""The clients that meters know, and how each of them authenticates.

    16  public      none                          2  reading      LLS
     1  management  HLS GMAC, ciphered             102 pushes go there, nobody associates

and in fleets with `roles = "all"` also, each at the number of its mechanism:

     3  HLS MD5     4  HLS SHA-1    5  HLS GMAC, not ciphered
     6  HLS SHA-256 7  HLS ECDSA (suites 1 and 2)

LLS reads, HLS also writes and invokes, the public reads who the meter is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.server import ClientRole

from hesper_sim import secrets
from hesper_sim.fleet import MeterPlan, Roles

PUBLIC_CLIENT: Final = 16
READING_CLIENT: Final = 2
MANAGEMENT_CLIENT: Final = 1
PUSH_CLIENT: Final = 102
_SECRET_MECHANISMS: Final = (
    Authentication.HIGH_MD5,
    Authentication.HIGH_SHA1,
    Authentication.HIGH_SHA256,
)


def hls_secret(seed: int, plan: MeterPlan) -> bytes:
    """Return the secret of the MD5, SHA-1 and SHA-256 mechanisms, 16 octets of text."""
    return secrets.symmetric(seed, plan.serial, "hls secret")[:8].hex().encode()


def of(plan: MeterPlan, roles: Roles, seed: int) -> Mapping[int, ClientRole]:
    """Return a meter's roles by client address."""
    known = {
        PUBLIC_CLIENT: ClientRole(),
        READING_CLIENT: ClientRole(Authentication.LOW, password=plan.password.encode()),
        MANAGEMENT_CLIENT: ClientRole(Authentication.HIGH_GMAC, ciphered=True),
    }
    if roles is Roles.ALL:
        secret = hls_secret(seed, plan)
        known |= {int(each): ClientRole(each, password=secret) for each in _SECRET_MECHANISMS}
        known[int(Authentication.HIGH_GMAC)] = ClientRole(Authentication.HIGH_GMAC)
        if plan.suite:
            known[int(Authentication.HIGH_ECDSA)] = ClientRole(Authentication.HIGH_ECDSA)
    if plan.short_names:
        short = Referencing.SHORT_NAME
        return {address: replace(role, referencing=short) for address, role in known.items()}
    return known
