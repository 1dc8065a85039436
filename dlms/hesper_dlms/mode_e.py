r"""Signing on over an optical head: IEC 62056-21 mode E (clause 6.3 and annex E).

    client, 300 baud 7E1      /?<address>!<CR><LF>
    meter                     /XXXZ\2<identification><CR><LF>     Z: fastest speed, \2: HDLC
    client                    <ACK>2Z2<CR><LF>                    both change to speed Z
    meter, speed Z 7E1        <ACK>2Z2<CR><LF>                    both change to 8N1
    both, speed Z 8N1         HDLC, until it is disconnected

No IO here: a sign-on is a sequence of `Step`s, each of which says how the line is set, what to
write (until the last bit has left) and how long to wait for an answer. Octets that arrived before a
change of settings are dropped: they are noise, or the echo of our own. An address of the request is
for lines with several meters; without one any meter answers.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final, NamedTuple

from hesper_dlms.errors import LinkError, LocalError, NoAnswer

BAUDRATES: Final = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
"""Baud rate identification Z → speed (IEC 62056-21, 6.3.14, 13)."""

_ADDRESS = re.compile(r"[0-9A-Za-z ]{0,32}")
_IDENTIFICATION = re.compile(rb"/([A-Za-z]{3})([0-9A-I])((?:\\.)*)([^/!\r\n]{0,32})\r\n")
_REQUEST = re.compile(rb"/\?([0-9A-Za-z ]{0,32})!\r\n")
_OPTION = re.compile(rb"\x06(.)(.)(.)\r\n")
_HDLC = b"\\2"
_LONGEST_MESSAGE = 128
_TALK_S = 3.0
"""Reaction time of 1500 ms and then some forty characters at 300 baud."""

_CONFIRM_S = 2.5
_ECHO_S, _FAST_ECHO_S = 0.1, 0.015
"""Within half the reaction time, which is 200 ms, or 20 ms where the maker's third letter is small.
"""


class LineSettings(NamedTuple):
    """How a serial line is set: speed in baud, framing as in 7E1."""

    baudrate: int
    framing: str

    @property
    def with_eight_bits(self) -> LineSettings:
        """The same speed for a port that knows no 7E1: `with_even_parity` makes up for it."""
        return LineSettings(self.baudrate, "8N1")


def with_even_parity(octets: bytes) -> bytes:
    """Return seven-bit characters with their parity in the eighth bit: 7E1 sent as 8N1."""
    return bytes(octet & 0x7F | ((octet & 0x7F).bit_count() & 1) << 7 for octet in octets)


SIGN_ON: Final = LineSettings(300, "7E1")


class Step(NamedTuple):
    """One step of the driver: set the line, write and drain, read for `timeout_s` (0: not)."""

    line: LineSettings
    octets: bytes = b""
    timeout_s: float = 0.0


class Identification(NamedTuple):
    """What a meter says of itself: manufacturer (three letters), speed, HDLC or not, its text."""

    manufacturer: str
    baudrate: int
    hdlc: bool
    text: str

    @property
    def line(self) -> LineSettings:
        """How the line is set when HDLC begins at the speed that was agreed."""
        return LineSettings(self.baudrate, "8N1")


SignOn = Generator[Step, bytes, Identification]
"""Yields steps, is sent what arrived during each, returns who answered."""


def sign_on(address: str = "", fastest: int = 19200, retries: int = 2) -> SignOn:
    """Sign on as a client; afterwards the line is set for HDLC.

    Args:
        address: The meter's, where several share the line.
        fastest: The speed in baud that our side does not go beyond.
        retries: How often each message is sent again into silence.

    Raises:
        LinkError: Nobody answers, or the meter does not offer HDLC.
    """
    if not _ADDRESS.fullmatch(address) or fastest < SIGN_ON.baudrate:
        raise LocalError("an address has up to 32 letters and digits, the speed is 300 or more")
    request = Step(SIGN_ON, f"/?{address}!\r\n".encode("ascii"), _TALK_S)
    found = yield from _ask(request, _IDENTIFICATION, retries)
    meter = _identified(found, fastest)
    if not meter.hdlc:
        raise LinkError(f"{meter.manufacturer} meter {meter.text} does not offer HDLC in mode E")
    option = _option(meter.baudrate)
    yield from _say(option, _FAST_ECHO_S if meter.manufacturer[2].islower() else _ECHO_S)
    slow = LineSettings(meter.baudrate, SIGN_ON.framing)
    confirmed = yield from _ask(Step(slow, b"", _CONFIRM_S), _OPTION, 0)
    if confirmed.group() != option:
        raise LinkError("the meter confirmed another mode than the one that was chosen")
    yield Step(meter.line)
    return meter


def _ask(step: Step, expected: re.Pattern[bytes], retries: int) -> Generator[Step, bytes, Match]:
    for _ in range(retries + 1):
        arrived = yield step
        heard = bytearray()
        while arrived and len(heard) < _LONGEST_MESSAGE * 2:
            heard += bytes(octet & 0x7F for octet in arrived)  # parity is left in by some drivers
            found = expected.search(heard)
            if found:
                return found
            arrived = yield Step(step.line, b"", step.timeout_s)
    raise NoAnswer("the meter did not answer in mode E")


def _say(octets: bytes, settle_s: float) -> Generator[Step, bytes, None]:
    """Write and let our own echo arrive, which must not be taken for the meter's confirmation."""
    arrived = yield Step(SIGN_ON, octets, settle_s)
    heard = len(arrived)
    while arrived and heard < len(octets):
        arrived = yield Step(SIGN_ON, b"", settle_s)
        heard += len(arrived)


Match = re.Match[bytes]


def _identified(found: Match, fastest: int) -> Identification:
    manufacturer, speed, escapes, text = (part.decode("latin-1") for part in found.groups())
    offered = BAUDRATES.get(speed, SIGN_ON.baudrate)
    usable = [baud for baud in BAUDRATES.values() if baud <= min(offered, fastest)]
    return Identification(manufacturer, max(usable), _HDLC.decode() in escapes, text)


def _option(baudrate: int) -> bytes:
    character = next(name for name, baud in BAUDRATES.items() if baud == baudrate)
    return f"\x062{character}2\r\n".encode("ascii")


class MeterSignOn:
    r"""The meter's side: answers the request that is for it and the choice of HDLC.

    Args:
        identification: As in `/HXE5\2HXE12`, without CR and LF.
        address: Requests to another address are passed over; those without one are answered.
    """

    __slots__ = ("_address", "_heard", "_identification", "_offered", "line", "signed_on")

    def __init__(self, identification: str, address: str = "") -> None:
        if not (identification.isascii() and _ADDRESS.fullmatch(address)):
            raise LocalError("identification and address are ASCII, an address letters and digits")
        self._identification = identification.encode("ascii") + b"\r\n"
        found = _IDENTIFICATION.fullmatch(self._identification)
        if found is None or _HDLC not in found.group(3):
            raise LocalError(f"{identification} does not identify a meter of mode E with HDLC")
        self._offered = _identified(found, max(BAUDRATES.values())).baudrate
        self._address = address.encode("ascii").lstrip(b"0")
        self.reset()

    def reset(self) -> None:
        """Wait for a request again: HDLC was disconnected, or nobody spoke for long."""
        self._heard = bytearray()
        self.line = SIGN_ON
        self.signed_on = False

    def receive(self, octets: bytes) -> list[Step]:
        """Take octets in, return what to do; once `signed_on`, octets are HDLC and not for here."""
        self._heard += bytes(octet & 0x7F for octet in octets)
        steps: list[Step] = []
        while not self.signed_on and (end := self._heard.find(b"\n")) >= 0:
            line = bytes(self._heard[: end + 1])
            del self._heard[: end + 1]
            steps += self._answer(line)
        del self._heard[:-_LONGEST_MESSAGE]
        return steps

    def _answer(self, message: bytes) -> list[Step]:
        asked = _REQUEST.search(message)
        if asked is not None:
            wanted = asked.group(1).strip().lstrip(b"0")
            ours = not asked.group(1).strip() or wanted == self._address
            return [Step(SIGN_ON, self._identification)] if ours else []
        chosen = _OPTION.search(message)
        if chosen is None or (chosen.group(1), chosen.group(3)) != (b"2", b"2"):
            return []
        baudrate = BAUDRATES.get(chosen.group(2).decode("latin-1"), 0)
        if not 0 < baudrate <= self._offered:
            return []
        self.signed_on = True
        self.line = LineSettings(baudrate, "8N1")
        self._heard.clear()
        return [Step(LineSettings(baudrate, SIGN_ON.framing), chosen.group()), Step(self.line)]
