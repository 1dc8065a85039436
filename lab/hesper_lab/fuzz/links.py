"""Targets for links: readers fed in chunks, stations, and everything a push goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from hesper_dlms.deframing import LINKS
from hesper_dlms.errors import DlmsError
from hesper_dlms.exchange import Exchange
from hesper_dlms.hdlc import FrameReader, HdlcLink
from hesper_dlms.hdlc.address import client_octets, server_octets
from hesper_dlms.hdlc.frames import Frame
from hesper_dlms.mbus import MbusReader
from hesper_dlms.mode_e import MeterSignOn, sign_on
from hesper_dlms.oneshot import Keys, PushReceiver
from hesper_dlms.wrapper import WrapperReader, wrap

from hesper_lab.fuzz.inputs import hold, pieces
from hesper_lab.fuzz.meter import METER_TITLE, SECURITY

_CHUNKS: Final = (1, 7, 1 << 20)


def _in_chunks(make: Callable[[], Any], octets: bytes, chunk: int) -> list[Any]:
    reader = make()
    found: list[Any] = []
    try:
        for at in range(0, len(octets), chunk):
            found += reader.receive(octets[at : at + chunk])
        found += reader.receive(b"")
        for end in ("idle", "finish"):
            found += getattr(reader, end, list)()
    except DlmsError as error:
        found.append(type(error))
    return found


def _same_in_any_chunks(make: Callable[[], Any], octets: bytes) -> None:
    runs = [_in_chunks(make, octets, chunk) for chunk in _CHUNKS]
    hold(runs[0] == runs[1] == runs[2], "chunks change what is found")


def hdlc_frames(octets: bytes) -> None:
    """HDLC frames; each frame found encodes to octets that are found again."""
    _same_in_any_chunks(FrameReader, octets)
    for frame in FrameReader().receive(octets):
        if frame.fcs_right:
            again = FrameReader().receive(frame.to_octets())
            hold([each.information for each in again] == [frame.information], "a frame is lost")


def wrapper_frames(octets: bytes) -> None:
    """Wrapper frames, strict and searching on."""
    for resynchronise in (False, True):
        _same_in_any_chunks(partial(WrapperReader, resynchronise), octets)


def mbus_frames(octets: bytes) -> None:
    """M-Bus long frames."""
    _same_in_any_chunks(MbusReader, octets)


def _receiver(link: str, octets: bytes) -> None:
    """A receiver without keys in any chunks, and with the keys of one meter and of several."""
    chunks = _CHUNKS if link != "raw" else _CHUNKS[2:]
    runs = [_received(link, None, octets, chunk) for chunk in chunks]
    hold(all(run == runs[0] for run in runs), "chunks change what is received")
    for keys in (SECURITY, {METER_TITLE: SECURITY}):
        _received(link, keys, octets, _CHUNKS[2])


def _received(link: str, keys: Keys | None, octets: bytes, chunk: int) -> list[Any]:
    found = _in_chunks(partial(PushReceiver, link, keys), octets, chunk)
    for each in found:
        with suppress(DlmsError):
            getattr(each, "to_json", dict)()
    return found


def hdlc_link(octets: bytes) -> None:
    """A client's HDLC link against whatever a meter sends, framed rightly or not at all."""
    link = HdlcLink(16, 1, 17)
    messages = list(pieces(octets))
    exchange: Exchange[Any] = link.connect()
    if messages and messages[0][:1] == b"\x01":
        ready = Frame(client_octets(16), server_octets(1, 17), 0x73).to_octets()
        with suppress(StopIteration):
            next(exchange)
            exchange.send(ready)
        exchange = link.request(b"\xc0\x01\xc1" + bytes(300))
    _feed(exchange, messages[1:])
    link.take_notifications()


def _feed(exchange: Any, messages: Sequence[bytes]) -> None:
    with suppress(DlmsError, StopIteration):
        next(exchange)
        for message in messages:
            exchange.send(_framed(message))


def _framed(message: bytes) -> bytes:
    if len(message) < 3 or message[0] & 1:
        return message[1:]
    segmented = bool(message[0] & 2)
    return Frame(
        client_octets(16), server_octets(1, 17), message[1], message[2:], segmented
    ).to_octets()


def datagrams(octets: bytes) -> None:
    """Wrapped messages one after another, each whole."""
    receiver = PushReceiver("wrapper")
    for piece in pieces(octets):
        for found in receiver.receive(wrap(1, 102, piece)):
            with suppress(DlmsError):
                getattr(found, "to_json", dict)()


def mode_e(octets: bytes) -> None:
    """Both sides of a sign-on over an optical head."""
    messages = list(pieces(octets))
    meter = MeterSignOn("/HXE5\\2HXE12")
    for message in messages:
        if not meter.signed_on:
            meter.receive(message)
    exchange = sign_on()
    with suppress(DlmsError, StopIteration):
        next(exchange)
        for message in messages:
            exchange.send(message)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "hdlc-frames": hdlc_frames,
    "hdlc-link": hdlc_link,
    "wrapper-frames": wrapper_frames,
    "mbus-frames": mbus_frames,
    "mode-e": mode_e,
    "push-datagrams": datagrams,
    **{f"push-{link}": partial(_receiver, link) for link in LINKS},
}
