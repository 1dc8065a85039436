"""One AT command at a time, without IO (ITU-T V.250; 3GPP TS 27.007 and 27.005).

Theory of operation
-------------------
::

    us      AT+CSQ<CR>
    modem   <CR><LF>+CSQ: 18,99<CR><LF>  <CR><LF>OK<CR><LF>

A command ends with a final result (OK, ERROR, +CME ERROR, CONNECT, BUSY …). Between command and
result the modem says what else happens: RING, a new registration, a message that came. Such lines
are told from the answer by its prefix, and a registration by its form: asked for it is
``+CREG: <n>,<stat>``, unasked ``+CREG: <stat>``. NO CARRIER and its like end nothing but a call
that we make: otherwise somebody else's call is over. After CONNECT every octet is the meter's.

A dialogue is a generator of `Step`s: what to write and how long to wait for the end of it. It is
sent what arrived, or nothing when the time is over; then the modem is taken to be lost, because a
late answer would be taken for that to the next command.
"""

import re
from collections.abc import Generator
from typing import NamedTuple, TypeVar

from hesper_gateway.errors import Hop, LineDown

T = TypeVar("T")

_LONGEST_LINE = 2048
_END_OF_TEXT = b"\x1a"
_FINAL = re.compile(r"OK|ERROR|\+CM[ES] ERROR: ?.*")
_END_OF_DIALLING = re.compile(r"BUSY|NO CARRIER|NO ANSWER|NO DIAL ?TONE|CONNECT.*")
_CAUSE = re.compile(r"\+CM[ES] ERROR: ?(\d+)")
_UNASKED_REGISTRATION = re.compile(r'\+C(?:G|E)?REG: ?(\d+)(?:,\s*"?[0-9A-Fa-f]+".*)?')
_RING = re.compile(r"RING|\+CRING:.*")
_CAUSES = {
    3: "operation not allowed",
    10: "no SIM",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "wrong SIM",
    16: "incorrect PIN",
    30: "no network service",
    32: "emergency calls only",
    38: "network out of order",
    42: "congestion",
    47: "resources unavailable",
    310: "no SIM",
    311: "SIM PIN required",
    331: "no network service",
    332: "network time-out",
}
"""3GPP TS 27.007, 9.2 and TS 27.005, 3.2.5: what a number after +CME or +CMS ERROR means."""


class ModemFailed(LineDown):
    """The modem does not answer, or not with what it was asked for; try again later."""

    hop = Hop.MODEM


class CommandRefused(ModemFailed):
    """The modem answers with an error; ``cause`` is its number where it tells one."""

    def __init__(self, command: str, result: str) -> None:
        found = _CAUSE.fullmatch(result)
        self.cause = int(found.group(1)) if found else None
        said = _CAUSES.get(self.cause or -1, "")
        super().__init__(f"{command}: {result}{f' ({said})' if said else ''}")


class SimUnusable(ModemFailed):
    """SIM absent, locked, or its PIN refused; a person must look, nothing is tried again."""


class NotRegistered(ModemFailed):
    """The network does not have us; the text says whether it refuses or is being looked for."""


class CallFailed(LineDown):
    """The modem is well, the call was not answered; ``result`` is BUSY, NO CARRIER …"""

    hop = Hop.MODEM

    def __init__(self, number: str, result: str) -> None:
        super().__init__(f"call to {number}: {result}")
        self.result = result


class Step(NamedTuple):
    """What to write, and how long to wait from now; 0 waits on within the time of the last."""

    octets: bytes = b""
    timeout_s: float = 0.0


Dialogue = Generator[Step, bytes, T]
WAIT_ON = Step()


class AtPort:
    """The modem's end of a serial port, as far as it has been heard."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self.unasked_registration: int | None = None
        """The last ``<stat>`` that the modem told of its own accord."""
        self.rings_count = 0

    def command(self, command: str, timeout_s: float, prefix: str = "") -> Dialogue[list[str]]:
        """Send a command and return the lines of its answer, without their prefix.

        Args:
            command: With its ``AT``, without carriage return.
            timeout_s: For everything until the final result.
            prefix: How lines of the answer begin; other lines came unasked.

        Raises:
            CommandRefused: the modem says ERROR.
            ModemFailed: it says nothing in time.
        """
        lines: list[str] = []
        result = yield from self.result_of(command, timeout_s, prefix, lines)
        if result != "OK":
            raise CommandRefused(shown(command), result)
        return lines

    def result_of(
        self, command: str, timeout_s: float, prefix: str = "", lines: list[str] | None = None
    ) -> Dialogue[str]:
        """Send a command and return its final result, whatever it is."""
        self._sort_old()
        step = Step(f"{command}\r".encode("ascii"), timeout_s)
        return (yield from self._result(step, shown(command), prefix, lines))

    def text(self, text: str, timeout_s: float) -> Dialogue[str]:
        """Send text after the prompt, closed by Ctrl-Z, and return the final result."""
        step = Step(text.encode("ascii") + _END_OF_TEXT, timeout_s)
        return (yield from self._result(step, "a text", "", None))

    def _result(self, step: Step, name: str, prefix: str, lines: list[str] | None) -> Dialogue[str]:
        while True:
            line = yield from self._line(step, name)
            step = WAIT_ON
            if _FINAL.fullmatch(line) or (
                name.startswith("ATD") and _END_OF_DIALLING.fullmatch(line)
            ):
                return line
            if self._is_answer(line, prefix):
                if lines is not None:
                    lines.append(line.removeprefix(prefix).strip())
            else:
                self._take_unasked(line)

    def prompt(self, command: str, timeout_s: float) -> Dialogue[None]:
        """Send a command and wait for ``>``, after which the modem takes text."""
        self._sort_old()
        step = Step(f"{command}\r".encode("ascii"), timeout_s)
        while not self._heard.lstrip(b"\r\n").startswith(b">"):
            if b"\n" in self._heard.lstrip(b"\r\n"):
                line = yield from self._line(WAIT_ON, shown(command))
                if _FINAL.fullmatch(line):
                    raise CommandRefused(shown(command), line)
                self._take_unasked(line)
                continue
            arrived = yield step
            step = WAIT_ON
            if not arrived:
                raise ModemFailed(f"the modem does not answer {shown(command)}")
            self._heard += arrived
        self._heard.clear()

    def quiet(self, seconds: float) -> Dialogue[None]:
        """Say nothing for a time; what arrives meanwhile is kept."""
        arrived = yield Step(b"", seconds)
        while arrived:
            self._heard += arrived
            del self._heard[:-_LONGEST_LINE]
            arrived = yield WAIT_ON

    def take_data(self) -> bytes:
        """Return what came after CONNECT already: it is the meter's."""
        octets = bytes(self._heard)
        self._heard.clear()
        return octets

    def forget(self) -> None:
        """Drop what was heard: it was noise, or the meter's."""
        self._heard.clear()

    def _line(self, step: Step, command: str) -> Dialogue[str]:
        """Return the next line that is not empty; a step with octets is taken first."""
        while True:
            if not step.octets:
                while (end := self._heard.find(b"\n")) >= 0:
                    line = bytes(self._heard[:end]).decode("latin-1").strip()
                    del self._heard[: end + 1]
                    if line:
                        return line
            arrived = yield step
            step = WAIT_ON
            if not arrived:
                raise ModemFailed(f"the modem does not answer {command}")
            self._heard += arrived
            if len(self._heard) > _LONGEST_LINE and b"\n" not in self._heard:
                self._heard.clear()

    def _sort_old(self) -> None:
        for line in bytes(self._heard).decode("latin-1").splitlines():
            self._take_unasked(line.strip())
        self._heard.clear()

    def _is_answer(self, line: str, prefix: str) -> bool:
        if not prefix or not line.startswith(prefix):
            return False
        return not _UNASKED_REGISTRATION.fullmatch(line)

    def _take_unasked(self, line: str) -> None:
        if registration := _UNASKED_REGISTRATION.fullmatch(line):
            self.unasked_registration = int(registration.group(1))
        elif _RING.fullmatch(line):
            self.rings_count += 1


def shown(command: str) -> str:
    """Return a command as it may stand in a log: a PIN or password is not shown."""
    return re.sub(r"(?i)(\+(?:CPIN|CLCK|CPWD)=).*", r"\1…", command)
