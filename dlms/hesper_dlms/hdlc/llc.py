"""The LLC header of every APDU over HDLC (IEC 62056-46, 5): E6E600 asks, E6E700 answers."""

from __future__ import annotations

REQUEST = b"\xe6\xe6\x00"
RESPONSE = b"\xe6\xe7\x00"
_LENGTH = 3


def strip(octets: bytes) -> bytes:
    """Return the APDU behind the LLC header, which a meter may double or leave out.

    No APDU begins with E6, so nothing of an APDU is ever lost.
    """
    while octets[:_LENGTH] in (REQUEST, RESPONSE):
        octets = octets[_LENGTH:]
    return octets
