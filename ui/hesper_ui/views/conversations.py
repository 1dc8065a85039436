"""What is told of a conversation at a glance; all of it is one click away."""

import re

from hesper_ui.services import UtteranceRow
from hesper_ui.words import later

SIDES = {"sent": later("to the meter"), "received": later("from the meter")}
NOTES = (later("the line is open"), later("the line is closed"))
"""What gateways note and is said in the operator's language; the rest is shown as it came."""
_APDU = re.compile(r"^( *)([A-Z]\w+) \(\d+ octets\)$")
_ENVELOPES = frozenset({"Ciphered", "InitiateRequest", "InitiateResponse"})
_FIELD = re.compile(r"^\d+: |^(?:attribute|method|result|returned): ?")
_USUAL = (
    "application_context", "conformance", "dlms_version", "from_provider", "invoke_id_and_priority",
    "invocation_counter", "max_receive_pdu_size", "octets", "response_allowed", "security_control",
    "system_title", "tag", "user_information", "vaa_name",
)  # fmt: skip
_REFUSALS = re.compile(
    r"^ *(?:ExceptionResponse \(|ConfirmedServiceError \(|result: [12] rejected|no APDU|cannot be )"
)
_STOPPED = "stopped"
_POINTS = 4
_OCTETS_TOGETHER = 2


def glance(said: UtteranceRow) -> tuple[str, str]:
    """Returns what an utterance is, and its most telling values."""
    found = _innermost(said.says)
    if found is None:
        return (said.says[0] if said.says else ""), ""
    place, depth, name = found
    inside = []
    for line in said.says[place + 1 :]:
        if _depth(line) <= depth:
            break
        inside.append(line)
    points = [_FIELD.sub("", line.strip()) for line in _leaves(inside) if _tells(line.strip())]
    more = len(points) - _POINTS
    return name, " · ".join([*points[:_POINTS], *([f"+{more}"] if more > 0 else [])])


def is_warning(said: UtteranceRow) -> bool:
    """Says whether the meter refused, cannot be understood, or the conversation stopped here."""
    if said.what == "note":
        return any(line.startswith(_STOPPED) for line in said.says)
    return any(_REFUSALS.match(line) for line in said.says)


def spaced(octets: str) -> str:
    """Returns octets in hex with room between them."""
    return " ".join(
        octets[place : place + _OCTETS_TOGETHER]
        for place in range(0, len(octets), _OCTETS_TOGETHER)
    )


def _innermost(says: tuple[str, ...]) -> tuple[int, int, str] | None:
    """Returns place, depth and name of the last APDU that is no envelope; else of an envelope."""
    found = [
        (place, len(match[1]), match[2])
        for place, line in enumerate(says)
        if (match := _APDU.match(line))
    ]
    telling = [each for each in found if each[2] not in _ENVELOPES] or found
    return telling[-1] if telling else None


def _leaves(lines: list[str]) -> list[str]:
    """Returns the lines under which nothing stands."""
    after = [*(_depth(line) for line in lines[1:]), 0]
    return [
        line for line, next_depth in zip(lines, after, strict=True) if next_depth <= _depth(line)
    ]


def _tells(line: str) -> bool:
    return not line.startswith(_USUAL) and not line.endswith((": None", ": not shown", ":"))


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
