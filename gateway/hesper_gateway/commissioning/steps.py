"""The hops of a walk, how each ended, and what to do about one that failed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Hop(StrEnum):
    """What is checked, in this order."""

    CONFIGURATION = "configuration"
    LINE = "line"
    LINK = "link"
    PUBLIC = "public association"
    ASSOCIATION = "reading association"
    NAME = "logical device name"
    CLOCK = "clock"
    REGISTERS = "first reading"
    RELAY = "relay state"
    MANAGEMENT = "management association"
    PUSH = "push"
    BROKER = "broker"


class Outcome(StrEnum):
    """How a hop ended."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_CHECKED = "not checked"


ADVICE = {
    Hop.LINE: "Check power and cable of modem or converter, and host, port or path of the line.",
    Hop.LINK: "Swap A and B of RS-485; compare baud rate, server_address and physical_address "
    "with the meter's plate; see that no other program or device asks the same meter.",
    Hop.PUBLIC: "Many meters have no public client; what counts is the next hop.",
    Hop.ASSOCIATION: "Compare template and keys_file with the meter's delivery note. Wait some "
    "minutes before trying again: some meters lock themselves after a few wrong keys.",
    Hop.NAME: "Another meter answers here, or its name was copied wrongly: compare with the plate "
    "and correct line, address or logical_device_name before anything else.",
    Hop.CLOCK: "See first that the gateway's own clock is right (timedatectl), then have the "
    "meter's set.",
    Hop.REGISTERS: "The template lists objects that this meter does not have: choose another.",
    Hop.RELAY: "Without it no disconnect can be proven. Choose a template without a relay if this "
    "meter has none.",
    Hop.MANAGEMENT: "Commands will fail: compare the management client of the template and the "
    "keys.",
    Hop.PUSH: "Let the meter push now (its button, or its interval), and compare baud rate, "
    "framing, template and key.",
    Hop.BROKER: "Compare account, password and certificate with what the head end gave you.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One hop of the walk."""

    hop: Hop
    outcome: Outcome
    found: str
    advice: str = ""


Tell = Callable[[Step], None]


class NotPassed(Exception):
    """The hop failed and was told; what comes after it cannot be tried."""


class Steps:
    """Tells each hop once and in order; what was never reached is told as not checked."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: set[Hop] = set()

    def passed(self, hop: Hop, found: str) -> None:
        self.add(Step(hop, Outcome.PASSED, found))

    def left_out(self, hop: Hop, why: str, advice: str = "") -> None:
        self.add(Step(hop, Outcome.NOT_CHECKED, why, advice))

    def failed(self, hop: Hop, why: str, advice: str = "") -> NotPassed:
        """Tell a failure; the caller raises what this returns when nothing can follow."""
        self.add(Step(hop, Outcome.FAILED, why, advice or ADVICE.get(hop, "")))
        return NotPassed(why)

    def add(self, step: Step) -> None:
        for earlier in Hop:
            if earlier is step.hop:
                break
            if earlier not in self._told:
                self._once(Step(earlier, Outcome.NOT_CHECKED, _unreached(earlier)))
        self._once(step)

    def finish(self) -> None:
        for hop in Hop:
            self._once(Step(hop, Outcome.NOT_CHECKED, _unreached(hop)))

    def _once(self, step: Step) -> None:
        if step.hop not in self._told:
            self._told.add(step.hop)
            self._tell(step)


def _unreached(hop: Hop) -> str:
    return "this meter is asked, it does not push" if hop is Hop.PUSH else "not reached"
