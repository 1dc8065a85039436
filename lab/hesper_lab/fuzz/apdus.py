"""Targets for APDUs: every tag, and ciphered ones with and without keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from hesper_dlms import apdu
from hesper_dlms.errors import DlmsError
from hesper_dlms.gbt import BlockAssembly, BlockExchange
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.security.certificates import Certificate

from hesper_lab.fuzz.inputs import hold, pieces
from hesper_lab.fuzz.meter import CLIENT_TITLE, METER_TITLE, SECURITY

_OTHER_KEYS: Final = SecuritySettings(0, SECURITY.encryption_key, bytes(16))


def any_apdu(octets: bytes) -> None:
    """One APDU; what parses encodes to octets that parse to the same APDU."""
    try:
        parsed = apdu.parse(octets)
    except DlmsError:
        return
    again = parsed.to_octets()
    hold(apdu.parse(again).to_octets() == again, "encoding again changes an APDU")


def _of_tag(tag: int) -> Callable[[bytes], None]:
    def target(octets: bytes) -> None:
        any_apdu(bytes((tag,)) + octets)

    return target


def ciphered(octets: bytes) -> None:
    """A ciphered APDU from somebody without our keys: never accepted."""
    context = SecurityContext(_OTHER_KEYS, CLIENT_TITLE, METER_TITLE)
    try:
        opened = context.open(octets)
    except DlmsError:
        return
    hold(not opened.tag_verified and opened.apdu == octets, "a forged APDU was accepted")


def ciphered_inside(octets: bytes) -> None:
    """Whatever a meter with the right keys put inside; its general forms too."""
    for settings in (SECURITY, _OTHER_KEYS):
        ours = SecurityContext(settings, CLIENT_TITLE, METER_TITLE)
        theirs = SecurityContext(SECURITY, METER_TITLE, CLIENT_TITLE)
        with suppress(DlmsError):
            opened = ours.open(theirs.protect(octets, 7))
            hold(settings is SECURITY and opened.apdu == octets, "other octets came out")


def block_assembly(octets: bytes) -> None:
    """General block transfer blocks, one message after another."""
    assembly = BlockAssembly()
    for piece in pieces(octets):
        with suppress(DlmsError):
            block = apdu.GeneralBlockTransfer.from_octets(piece)
            assembly.add(block.number, block.last, block.octets)


def block_exchange(octets: bytes) -> None:
    """General block transfer both ways behind two octets: the largest APDU and the window."""
    if len(octets) < 2:
        return
    exchange = BlockExchange(64 + octets[0], 1 + octets[1] % 8)
    for piece in pieces(octets[2:]):
        with suppress(DlmsError):
            if piece[:1] == b"\x00":
                exchange.send(piece)
            else:
                exchange.take(apdu.GeneralBlockTransfer.from_octets(piece))
            sent = exchange.turn()
            hold(all(len(each) <= 64 + octets[0] for each in sent), "a block is too long")


def certificate(octets: bytes) -> None:
    """An X.509 certificate of a meter."""
    with suppress(DlmsError):
        found = Certificate.from_octets(octets)
        hold(found.is_issued_by(found) in (True, False), "a certificate cannot be judged")


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "apdu": any_apdu,
    "aarq": _of_tag(0x60),
    "aare": _of_tag(0x61),
    "ciphered": ciphered,
    "ciphered-inside": ciphered_inside,
    "gbt": block_assembly,
    "gbt-exchange": block_exchange,
    "certificate": certificate,
}
