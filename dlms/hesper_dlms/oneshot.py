"""Decoding what only comes towards us: pushes on a line, a capture in a file.

    octets -> deframer -> blocks put together -> ciphering checked -> notification

`PushReceiver` takes octets in any chunks and gives messages and drops, in order. A message whose
check sequence was wrong is given too, for engineers to see: `message.link.intact` is false then,
and it must never be stored. Policy on ciphering is that of `SecurityContext`: with keys, what is
not protected as agreed, altered or replayed is dropped. A message that its meter begins anew simply
replaces the unfinished one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import ciphered
from hesper_dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER
from hesper_dlms.deframing import Dropped, LinkFacts, Piece, deframer
from hesper_dlms.errors import DecodeError, LocalError, RemoteError, SecurityError
from hesper_dlms.gbt import BlockAssembly
from hesper_dlms.push import BareBody, Telegram, parse_body, read_unwrapped
from hesper_dlms.security import Opened, ReceivedCounters, SecurityContext, SecuritySettings

Notification = apdu.DataNotification | apdu.EventNotification | Telegram | BareBody
"""What a push can be; the last two are no APDUs, see `hesper_dlms.push.telegram`."""

Keys = SecuritySettings | Mapping[bytes, SecuritySettings]
"""One meter's keys, or the keys of several by system title."""

_ANYONE = bytes(8)
_MAX_STATIONS = 256


@dataclass(frozen=True, slots=True)
class CipheringFacts:
    """How a message was protected."""

    system_title: bytes
    security_control: int
    invocation_counter: int
    tag_verified: bool

    def to_json(self) -> dict[str, object]:
        """Return the facts in plain JSON."""
        return {
            "system_title": self.system_title.hex(),
            "security_control": self.security_control,
            "invocation_counter": self.invocation_counter,
            "tag_verified": self.tag_verified,
        }


@dataclass(frozen=True, slots=True)
class PushedMessage:
    """One notification. `octets` is its plain APDU: a better decoder can read it again.

    `ciphering` is None where it came plain.
    """

    link: LinkFacts
    ciphering: CipheringFacts | None
    notification: Notification
    octets: bytes

    def to_json(self) -> dict[str, object]:
        """Return the message in plain JSON, values typed as `axdr.plain` does, nothing scaled.

        Raises:
            DecodeError: The body is not A-XDR, not even with the known deviations.
        """
        shown: dict[str, object] = {"link": self.link.to_json()}
        if self.ciphering is not None:
            shown["ciphering"] = self.ciphering.to_json()
        notification = self.notification
        time = getattr(notification, "date_time", None)
        shown["long_invoke_id"] = getattr(notification, "long_invoke_id", None)
        shown["date_time"] = None if time is None else time.hex()
        shown["values"] = _values(notification)
        return shown


def _values(notification: Notification) -> object:
    if isinstance(notification, apdu.DataNotification):
        return parse_body(notification.body).plain()
    if isinstance(notification, Telegram):
        return notification.text
    if isinstance(notification, BareBody):
        return axdr.plain(axdr.decode(notification.octets))
    attribute = notification.attribute
    name = f"hex:{attribute.logical_name.hex()}"
    value = axdr.plain(axdr.decode(notification.octets))
    return [attribute.class_id, name, attribute.attribute_id, value]


class _Blocks:
    """General block transfer of one station."""

    def __init__(self) -> None:
        self.assembly = BlockAssembly()
        self.facts: LinkFacts | None = None
        self.skipping = False

    def cut_short(self) -> list[PushedMessage | Dropped]:
        facts, self.facts = self.facts, None
        self.assembly.clear()
        if facts is None:
            return []
        return [Dropped(facts.offset, "general block transfer cut short: whole message dropped")]


class PushReceiver:
    """Notifications out of a stream.

    Args:
        link: `hdlc`, `mbus`, `wrapper` or `raw`.
        keys: With one meter's keys plain messages are refused. With keys by system title both are
            taken: whoever knows which meter it is must check `ciphering` where the meter has keys.
        received_counters: The last counters accepted; keep them, so that recorded messages are
            not accepted again after a restart.
    """

    def __init__(
        self,
        link: str,
        keys: Keys | None = None,
        received_counters: ReceivedCounters | None = None,
    ) -> None:
        self._deframer = deframer(link)
        self._keys = keys
        self._received: ReceivedCounters = {} if received_counters is None else received_counters
        self._contexts: dict[bytes, SecurityContext] = {}
        self._blocks: dict[bytes, _Blocks] = {}

    def receive(self, octets: bytes) -> list[PushedMessage | Dropped]:
        """Take octets in (for `raw`: exactly one APDU), return what is complete now."""
        return self._take(self._deframer.receive(octets))

    def finish(self) -> list[PushedMessage | Dropped]:
        """Give up what waits for its rest: the stream ended or the line has been silent."""
        found = self._take(self._deframer.finish())
        for blocks in self._blocks.values():
            found += blocks.cut_short()
        self._blocks.clear()
        return found

    def _take(self, pieces: list[Piece | Dropped]) -> list[PushedMessage | Dropped]:
        found: list[PushedMessage | Dropped] = []
        for piece in pieces:
            if isinstance(piece, Dropped):
                found.append(piece)
            elif piece.apdu[:1] == bytes((GENERAL_BLOCK_TRANSFER,)):
                found += self._block(piece)
            else:
                found.append(self._message(piece.apdu, piece.facts))
        return found

    def _block(self, piece: Piece) -> list[PushedMessage | Dropped]:
        station = (piece.facts.source or b"") + b"|" + (piece.facts.destination or b"")
        if station not in self._blocks and len(self._blocks) >= _MAX_STATIONS:
            self._blocks.clear()
        blocks = self._blocks.setdefault(station, _Blocks())
        try:
            block = apdu.GeneralBlockTransfer.from_octets(piece.apdu)
        except DecodeError as error:
            blocks.skipping = True
            return [*blocks.cut_short(), Dropped(piece.facts.offset, str(error))]
        found: list[PushedMessage | Dropped] = []
        if block.number == 1:
            blocks.skipping, found = False, blocks.cut_short()
        elif blocks.skipping:
            return []
        blocks.facts = blocks.facts.join(piece.facts) if blocks.facts else piece.facts
        facts = blocks.facts
        try:
            whole = blocks.assembly.add(block.number, block.last, block.octets)
        except DecodeError as error:
            blocks.skipping, blocks.facts = True, None
            return [*found, Dropped(facts.offset, str(error))]
        if whole is None:
            return found
        blocks.facts = None
        return [*found, self._message(whole, facts)]

    def _message(self, octets: bytes, facts: LinkFacts) -> PushedMessage | Dropped:
        try:
            opened = self._open(octets)
            plain = octets if opened is None else opened.apdu
            notification = read_unwrapped(plain) or apdu.parse(plain)
        except (RemoteError, LocalError) as error:
            return Dropped(facts.offset, str(error))
        if not isinstance(notification, Notification):
            return Dropped(facts.offset, f"{type(notification).__name__} is no notification")
        ciphering = (
            None
            if opened is None
            else CipheringFacts(
                opened.system_title,
                opened.security_control,
                opened.invocation_counter,
                opened.tag_verified,
            )
        )
        return PushedMessage(facts, ciphering, notification, plain)

    def _open(self, octets: bytes) -> Opened | None:
        """Return the opened ciphered APDU; None for a plain one that is acceptable."""
        if octets[:1] and octets[0] in ciphered.TAGS:
            title = ciphered.Ciphered.from_octets(octets).system_title
            return self._context(title).open(octets)
        if octets[:1] and octets[0] in ciphered.LAYER_TAGS:
            return self._context(_originator(octets)).open(octets)
        if isinstance(self._keys, SecuritySettings):
            raise SecurityError("a plain message where ciphering was agreed")
        return None

    def _context(self, title: bytes | None) -> SecurityContext:
        keys = self._keys
        if isinstance(keys, Mapping):
            keys = None if title is None else keys.get(title)
        if keys is None:
            raise SecurityError("the message is ciphered and there is no key for it")
        name = title if isinstance(self._keys, Mapping) and title else b""
        if name not in self._contexts:
            self._contexts[name] = SecurityContext(keys, _ANYONE, None, self._received)
        return self._contexts[name]


def _originator(octets: bytes) -> bytes | None:
    """Return who protected a general-ciphering or general-signing APDU, as it says."""
    message = apdu.parse(octets)
    if isinstance(message, apdu.GeneralCiphering | apdu.GeneralSigning):
        return message.header.originator
    return None
