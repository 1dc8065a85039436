"""Targets for whole sides: our client against a hostile meter, our server against a hostile client.

Messages are told apart by their first octet: sent as they are, or ciphered with the right keys, or
the right answer with a few octets changed. So the targets reach what lies behind the tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from hesper_dlms import apdu, axdr
from hesper_dlms.client import Client
from hesper_dlms.errors import DlmsError
from hesper_dlms.security import SecurityContext
from hesper_dlms.server import (
    HdlcMultidrop,
    HdlcServerLink,
    LogicalServer,
    ServerConnection,
    WrapperServerLink,
)
from hesper_dlms.wrapper import WrapperReader, wrap

from hesper_lab.fuzz.inputs import hold, pieces
from hesper_lab.fuzz.meter import (
    CLIENT_TITLE,
    CLIENTS,
    ENERGY,
    LONG,
    METER_TITLE,
    RELAY,
    SECURITY,
    SHORT_NAME_CLIENTS,
    FuzzMeter,
    settings,
)

_PROTECTED: Final = 1
_RIGHT: Final = 2
_ALTERED: Final = 3
_FAR: Final = 1 << 20
"""An invocation counter that no association of a target has reached."""

_CALLS: Final[tuple[Callable[[Client], Any], ...]] = (
    lambda peer: peer.get(LONG),
    lambda peer: peer.get_many([ENERGY, LONG]),
    lambda peer: peer.set(LONG, axdr.octet_string(bytes(900))),
    lambda peer: peer.action(RELAY, axdr.octet_string(bytes(900))),
    lambda peer: peer.release(),
    lambda peer: peer.connect(),
)


class _Pair:
    """A client and a meter over the wrapper, up to a point of their association."""

    def __init__(self, client: int, rounds: int) -> None:
        self.client = client
        chosen = settings(client)
        self.server = LogicalServer(FuzzMeter())
        self.connection = ServerConnection(self.server, WrapperServerLink(1))
        self.peer = Client(chosen.over_wrapper(), chosen)
        exchange = self.peer.connect()
        with suppress(StopIteration):
            request = next(exchange)
            for _ in range(rounds):
                request = exchange.send(self.connection.receive(request))


def _server(clients: Sequence[int], octets: bytes) -> None:
    """APDUs of any kind before, within and behind an association; every answer is an APDU."""
    start = octets[0] if octets else 0
    pair = _Pair(clients[(start & 3) % len(clients)], start >> 2 & 3)
    theirs = SecurityContext(SECURITY, CLIENT_TITLE, METER_TITLE)
    for number, piece in enumerate(pieces(octets[1:])):
        request = piece[1:]
        if piece[:1] == bytes((_PROTECTED,)):
            request = theirs.protect(request, _FAR + number)
        answer = pair.connection.receive(wrap(pair.client, 1, request))
        for frame in WrapperReader().receive(answer):
            apdu.parse(frame.apdu)


def server_over_hdlc(octets: bytes) -> None:
    """A stream of octets to stations of one meter and of several."""
    logical = LogicalServer(FuzzMeter())
    line = HdlcMultidrop({17: logical})
    alone = ServerConnection(logical, HdlcServerLink(1, 17))
    for piece in pieces(octets):
        line.receive(piece)
        alone.receive(piece)


def _client(clients: Sequence[int], octets: bytes) -> None:
    """A client that calls, and whatever its meter answers."""
    start = octets[0] if octets else 0
    call = _CALLS[(start >> 2) % len(_CALLS)]
    pair = _Pair(clients[(start & 3) % len(clients)], 0 if call is _CALLS[-1] else 3)
    theirs = SecurityContext(SECURITY, METER_TITLE, CLIENT_TITLE)
    with suppress(DlmsError, StopIteration):
        exchange = call(pair.peer)
        request = next(exchange)
        for number, piece in enumerate(pieces(octets[1:])):
            kind, message = piece[:1], piece[1:]
            if kind == bytes((_PROTECTED,)):
                message = theirs.protect(message, _FAR + number)
            if kind in (bytes((_RIGHT,)), bytes((_ALTERED,))):
                right = pair.connection.receive(request) if request else b""
                answer = right if kind == bytes((_RIGHT,)) else _altered(right, message)
            else:
                answer = wrap(1, pair.client, message)
            request = exchange.send(answer)
    pair.peer.take_notifications()


def _altered(octets: bytes, changes: bytes) -> bytes:
    """Return octets with the places changed that pairs of octets name, the header left alone."""
    changed = bytearray(octets)
    for place, change in zip(changes[::2], changes[1::2], strict=False):
        if len(changed) > 8:
            changed[8 + place % (len(changed) - 8)] ^= change
    return bytes(changed)


def altered_answers(octets: bytes) -> None:
    """A ciphered read whose answers are altered: the right value, or none."""
    pair = _Pair(1, 3)
    exchange = pair.peer.get_octets(LONG)
    changes = list(pieces(octets))
    try:
        request = next(exchange)
        while True:
            right = pair.connection.receive(request)
            request = exchange.send(_altered(right, changes.pop(0) if changes else b""))
    except StopIteration as end:
        hold(end.value == FuzzMeter().values[LONG], "an altered value was believed")
    except DlmsError:
        return


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "server": partial(_server, CLIENTS),
    "server-short-names": partial(_server, SHORT_NAME_CLIENTS),
    "server-hdlc": server_over_hdlc,
    "client": partial(_client, CLIENTS),
    "client-short-names": partial(_client, SHORT_NAME_CLIENTS),
    "client-altered": altered_answers,
}
