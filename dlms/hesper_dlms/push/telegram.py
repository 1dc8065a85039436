"""What ciphered pushes carry where the standard expects an APDU.

- A telegram in text, as IEC 62056-21 has it: DSMR P1 behind general-glo-ciphering (Luxembourg
  Smarty, Sagemcom S210). Its CRC-16 (x^16 + x^15 + x^2 + 1, least significant bit first, from the
  `/` to the `!`) stands in four hexadecimal digits behind the `!`.
- The body of a data-notification alone: an array or structure without number and date-time.
"""

from __future__ import annotations

from dataclasses import dataclass

from hesper_dlms import axdr
from hesper_dlms.axdr import Tag
from hesper_dlms.errors import DecodeError

_POLYNOMIAL = 0xA001
_CRC_DIGITS = 4
_NESTED = (Tag.ARRAY, Tag.STRUCTURE)


@dataclass(frozen=True, slots=True)
class Telegram:
    """A telegram in text, line ends included."""

    text: str


@dataclass(frozen=True, slots=True)
class BareBody:
    """The octets of an array or structure that came without an APDU around it."""

    octets: bytes


def read_unwrapped(octets: bytes) -> Telegram | BareBody | None:
    """Return what the octets are when they are no APDU; None when they are neither of the two.

    Raises:
        DecodeError: A telegram whose CRC is wrong.
    """
    if octets[:1] == b"/":
        return _telegram(octets)
    if octets[:1] in (bytes((Tag.ARRAY,)), bytes((Tag.STRUCTURE,))) and _is_whole(octets):
        return BareBody(octets)
    return None


def _telegram(octets: bytes) -> Telegram | None:
    end = octets.rfind(b"!") + 1
    if not end or not octets[:end].isascii():
        return None
    digits = octets[end : end + _CRC_DIGITS]
    try:
        expected = int(digits, 16) if digits.strip() else None
    except ValueError:
        return None
    if expected is not None and expected != _crc(octets[:end]):
        raise DecodeError("the CRC of the telegram is wrong", end)
    return Telegram(octets.decode("ascii", "replace"))


def _crc(octets: bytes) -> int:
    crc = 0
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc


def _is_whole(octets: bytes) -> bool:
    try:
        return axdr.decode(octets).tag in _NESTED
    except DecodeError:
        return False
