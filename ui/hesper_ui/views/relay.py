"""What is said before a relay is moved: title, consequence, facts, and why not now."""

from dataclasses import dataclass

from hesper_contracts.results import READY_FOR_RECONNECTION

from hesper_ui.services import MeterDetail, RelayAction
from hesper_ui.words import later, say

OTHER = later("Other (say which)")
REASONS: dict[RelayAction, tuple[str, ...]] = {
    "disconnect": (
        later("Payment overdue, final notice given"),
        later("Customer moved out"),
        later("Work on the installation"),
        later("Danger at the premises"),
        OTHER,
    ),
    "reconnect": (
        later("Payment received"),
        later("New customer moved in"),
        later("Work finished"),
        later("Disconnected by mistake"),
        OTHER,
    ),
}
_CHOSEN = frozenset(each for reasons in REASONS.values() for each in reasons)
APPROVAL_NOTE = later(
    "A second person with the approver role must confirm within 15 minutes, "
    "else the request expires."
)
ALONE_NOTE = later("The policy in force asks for no second person: this leaves at once.")


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one dialog."""

    title: str
    consequence: str
    keep: str
    act: str
    sent: str
    note: str


def reason(text: str) -> str:
    """Returns the reason of a command: one of ours in words of the page, else as it was written."""
    return say(text) if text in _CHOSEN else text


def needs_second_person(detail: MeterDetail, action: RelayAction) -> bool:
    """Says whether the policy in force wants another person to approve this."""
    return f"relay.{action}" in detail.second_person


def words(action: RelayAction, meter: str, *, second_person: bool) -> Words:
    """Returns the texts for cutting or restoring the supply of ``meter``."""
    note = say(APPROVAL_NOTE if second_person else ALONE_NOTE)
    when = say("within about 10 seconds")
    if second_person:
        when = say("within about 10 seconds of approval")
    if action == "disconnect":
        return _cutting(meter, when, note, second_person)
    return _restoring(meter, when, note, second_person)


def _cutting(meter: str, when: str, note: str, second_person: bool) -> Words:
    consequence = later(
        "The premises lose power {when} and stay without it until they are reconnected."
    )
    waits = say("Disconnect of {meter} requested; it waits for an approver.", meter=meter)
    leaves = say("Disconnect of {meter} is on its way.", meter=meter)
    return Words(
        say("Disconnect supply to {meter}?", meter=meter),
        say(consequence, when=when),
        say("Keep connected"),
        say("Request disconnect") if second_person else say("Start disconnect"),
        waits if second_person else leaves,
        note,
    )


def _restoring(meter: str, when: str, note: str, second_person: bool) -> Words:
    consequence = later(
        "The premises get power back {when}; whatever was switched on there starts again."
    )
    waits = say("Reconnection of {meter} requested; it waits for an approver.", meter=meter)
    leaves = say("Reconnection of {meter} is on its way.", meter=meter)
    return Words(
        say("Reconnect supply to {meter}?", meter=meter),
        say(consequence, when=when),
        say("Leave disconnected"),
        say("Request reconnect") if second_person else say("Start reconnect"),
        waits if second_person else leaves,
        note,
    )


def facts(detail: MeterDetail) -> list[tuple[str, str]]:
    """Returns who is behind the relay."""
    return [
        (say("Customer"), detail.row.customer or say("none recorded")),
        (say("Address"), detail.row.address or say("none recorded")),
        (
            say("Life support"),
            say("FLAGGED: someone depends on it")
            if detail.row.life_support
            else say("none recorded"),
        ),
    ]


def tail_matches(meter: str, tail: str) -> bool:
    """Says whether ``tail`` is the last four digits of the serial number."""
    return len(tail) == 4 and meter.endswith(tail)


def blocked(detail: MeterDetail, action: RelayAction) -> str | None:
    """Returns why this may not be asked now, as the service says it."""
    return detail.disconnect_blocked if action == "disconnect" else detail.reconnect_blocked


def offered(detail: MeterDetail) -> list[RelayAction]:
    """Returns which way the relay could move; both where its state is not known.

    Both too where the meter waits for its button: until it is disconnected, anybody there may push.
    """
    waits = not detail.row.relay_output and detail.relay_control == READY_FOR_RECONNECTION
    if detail.row.relay_output is None or waits:
        return ["reconnect", "disconnect"]
    return ["disconnect"] if detail.row.relay_output else ["reconnect"]
