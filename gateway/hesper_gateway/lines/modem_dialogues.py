"""What we have to say to a modem: start, SIM, network, short message, call (no IO).

Commands are those of 3GPP TS 27.007 (+CPIN 8.3, +CREG 7.2, +COPS 7.3, +CSQ 8.5, +CMEE 9.1), TS
27.005 (+CMGF 3.2.3, +CMGS 3.5.1) and ITU-T V.250 (Z, E, D, H, &D and the escape); &D2 because some
modems keep a call when DTR drops. Whatever a modem may lack is asked for and done without.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from hesper_gateway.lines.at import (
    AtPort,
    CallFailed,
    CommandRefused,
    Dialogue,
    ModemFailed,
    NotRegistered,
    SimUnusable,
    Step,
)

_NO_TEXT = b"\x1b"
"""Ends a short message unsent (TS 27.005, 3.5.1)."""
_NO_SIGNAL = 99
_SIM_BUSY = 14
_NO_SIM = frozenset((10, 13, 15, 310))
_PUK = frozenset((12, 312))
_REGISTRATIONS = ("+CREG", "+CEREG", "+CGREG")


class Registration(StrEnum):
    """How the network has us (3GPP TS 27.007, 7.2)."""

    OFF = "not registered, not searching"
    HOME = "home"
    SEARCHING = "searching"
    DENIED = "denied"
    UNKNOWN = "unknown"
    ROAMING = "roaming"

    @property
    def usable(self) -> bool:
        """Whether calls and messages are possible."""
        return self in {Registration.HOME, Registration.ROAMING}


_STATES = {
    0: Registration.OFF,
    1: Registration.HOME,
    2: Registration.SEARCHING,
    3: Registration.DENIED,
    5: Registration.ROAMING,
    6: Registration.HOME,
    7: Registration.ROAMING,
    9: Registration.HOME,
    10: Registration.ROAMING,
}
_BEST_FIRST = (
    Registration.HOME,
    Registration.ROAMING,
    Registration.SEARCHING,
    Registration.DENIED,
    Registration.OFF,
    Registration.UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Network:
    """What a modem says of its network."""

    registration: Registration = Registration.UNKNOWN
    operator: str = ""
    signal_dbm: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a modem may take, in seconds."""

    answer_s: float = 5.0
    settle_s: float = 0.2
    """For an answer that comes late, before the next question is asked."""
    pause_s: float = 1.0
    """Between looks at a SIM or network that is not ready."""
    looks: int = 60
    """How often a network is looked for in a row."""
    guard_s: float = 1.1
    """Silence around ``+++`` (V.250, 6.2.9: one second)."""
    message_s: float = 60.0
    call_s: float = 90.0


class Modem:
    """The dialogues with one modem."""

    def __init__(self, pace: Pace) -> None:
        self.port = AtPort()
        self._pace = pace

    def start(self, commands: tuple[str, ...]) -> Dialogue[None]:
        """Bring the modem into a known state, also one that a crash left in a call or a text.

        Raises:
            ModemFailed: it does not answer, or refuses a command of the configuration.
        """
        if not (yield from self._answers()):
            yield Step(_NO_TEXT, self._pace.settle_s)
            yield from self._escape()
            if not (yield from self._answers()):
                raise ModemFailed("the modem does not answer AT")
            yield from self._command("ATH")
        for command in ("ATZ", "ATE0", "ATV1"):
            yield from self._command(command)
        for command in ("AT&D2", "AT+CMEE=1", "ATX4", "AT+CREG=1"):
            yield from self._try(command)
        for command in commands:
            yield from self._command(command)

    def sim(self) -> Dialogue[bool]:
        """Return whether the SIM is open; False when it asks for its PIN.

        Raises:
            SimUnusable: no SIM, or it asks for a PUK or another code.
        """
        for _ in range(self._pace.looks):
            try:
                said = yield from self._command("AT+CPIN?", "+CPIN:")
            except CommandRefused as refused:
                if refused.cause in _NO_SIM:
                    raise SimUnusable(str(refused)) from refused
                if refused.cause in _PUK:
                    raise SimUnusable("the SIM is locked: it asks for its PUK") from refused
                if refused.cause != _SIM_BUSY:
                    raise
                yield from self.port.quiet(self._pace.pause_s)
                continue
            match said[-1:]:  # a SIM that starts says so unasked, in the same words
                case ["READY"]:
                    return True
                case ["SIM PIN"]:
                    return False
                case ["SIM PUK"]:
                    raise SimUnusable("the SIM is locked: it asks for its PUK")
                case other:
                    raise SimUnusable(f"the SIM asks for {' '.join(other) or 'something unsaid'}")
        raise ModemFailed("the SIM stays busy")

    def enter_pin(self, pin: str) -> Dialogue[None]:
        """Give the PIN, once.

        Raises:
            SimUnusable: it was refused; a third wrong one locks the SIM.
        """
        try:
            yield from self._command(f'AT+CPIN="{pin}"')
        except CommandRefused as refused:
            raise SimUnusable(f"the SIM refused its PIN: {refused}") from refused

    def network(self) -> Dialogue[Network]:
        """Return registration, operator and signal as they are now."""
        registration = yield from self._registration()
        quality = yield from self._try("AT+CSQ", "+CSQ:")
        yield from self._try("AT+COPS=3,0")
        operator = yield from self._try("AT+COPS?", "+COPS:")
        return Network(registration, _operator(operator), _signal_dbm(quality))

    def await_network(self) -> Dialogue[None]:
        """Wait until the network has us.

        Raises:
            NotRegistered: it refuses us, or has not been found in time.
        """
        registration = Registration.UNKNOWN
        for look in range(self._pace.looks):
            if look:
                yield from self.port.quiet(self._pace.pause_s)
            registration = yield from self._registration()
            if registration.usable:
                return
            if registration is Registration.DENIED:
                raise NotRegistered("the network denies registration")
        raise NotRegistered(f"no network: {registration}")

    def send_message(self, number: str, text: str) -> Dialogue[None]:
        """Send a short message in text mode.

        Raises:
            ModemFailed: not sent; after a silence it may have been.
        """
        yield from self._command("AT+CMGF=1")
        yield from self.port.prompt(f'AT+CMGS="{number}"', self._pace.answer_s)
        result = yield from self.port.text(text, self._pace.message_s)
        if result != "OK":
            raise CommandRefused("AT+CMGS", result)

    def dial(self, number: str) -> Dialogue[str]:
        """Call a number for data; return what the modem says of the speed.

        Raises:
            CallFailed: BUSY, NO CARRIER, NO ANSWER, NO DIALTONE.
            CommandRefused: ERROR, with a cause or without.
            ModemFailed: neither connected nor refused in time; the caller hangs up.
        """
        result = yield from self.port.result_of(f"ATD{number}", self._pace.call_s)
        if result.startswith("CONNECT"):
            return result.removeprefix("CONNECT").strip()
        if result == "OK":  # not a data call, but it may be one all the same
            raise ModemFailed(f"ATD{number}: OK and no connection")
        if "ERROR" in result:
            raise CommandRefused(f"ATD{number}", result)
        raise CallFailed(number, result)

    def hang_up(self) -> Dialogue[None]:
        """End a call; raises ModemFailed when the modem does not come back to commands."""
        yield from self._escape()
        yield from self._command("ATH")

    def _escape(self) -> Dialogue[None]:
        yield from self.port.quiet(self._pace.guard_s)
        self.port.forget()
        yield Step(b"+++", self._pace.guard_s)
        yield from self.port.quiet(self._pace.guard_s)
        self.port.forget()

    def _answers(self) -> Dialogue[bool]:
        for _ in range(2):
            try:
                yield from self.port.command("AT", self._pace.pause_s)
            except CommandRefused:
                return True
            except ModemFailed:
                yield from self.port.quiet(self._pace.settle_s)
                self.port.forget()
                continue
            return True
        return False

    def _registration(self) -> Dialogue[Registration]:
        """Return the best of the circuit, 4G and packet registrations."""
        found = [Registration.UNKNOWN]
        for name in _REGISTRATIONS:
            for said in (yield from self._try(f"AT{name}?", f"{name}:")):
                fields = said.split(",")
                if len(fields) > 1 and fields[1].strip().isdecimal():
                    found.append(_STATES.get(int(fields[1]), Registration.UNKNOWN))
        return min(found, key=_BEST_FIRST.index)

    def _command(self, command: str, prefix: str = "") -> Dialogue[list[str]]:
        return self.port.command(command, self._pace.answer_s, prefix)

    def _try(self, command: str, prefix: str = "") -> Dialogue[list[str]]:
        """Return what is said, and nothing where the modem does not know the command."""
        try:
            return (yield from self._command(command, prefix))
        except CommandRefused:
            return []


def _signal_dbm(said: list[str]) -> int | None:
    """Return +CSQ in dBm: 0 is -113 or less, 31 is -51 or more, 99 not known."""
    found = re.match(r"(\d+)", said[0]) if said else None
    if found is None or int(found.group(1)) >= _NO_SIGNAL:
        return None
    return -113 + 2 * int(found.group(1))


def _operator(said: list[str]) -> str:
    found = re.search(r'"([^"]*)"', said[0]) if said else None
    return found.group(1) if found else ""
