"""What is said before a relay is moved: title, consequence, facts, and why not now."""

from dataclasses import dataclass

from hesper_ui.services import MeterDetail, RelayAction
from hesper_ui.views.wording import MISSING, power

OTHER = "Other (say which)"
REASONS: dict[RelayAction, tuple[str, ...]] = {
    "disconnect": (
        "Payment overdue, final notice given",
        "Customer moved out",
        "Work on the installation",
        "Danger at the premises",
        OTHER,
    ),
    "reconnect": (
        "Payment received",
        "New customer moved in",
        "Work finished",
        "Disconnected by mistake",
        OTHER,
    ),
}
APPROVAL_NOTE = (
    "A second person with the approver role must confirm within 15 minutes, "
    "else the request expires."
)
ALONE_NOTE = "The policy in force asks for no second person: this leaves at once."


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one dialog."""

    title: str
    consequence: str
    keep: str
    act: str
    sent: str
    note: str


def needs_second_person(detail: MeterDetail, action: RelayAction) -> bool:
    """Says whether the policy in force wants another person to approve this."""
    return f"relay.{action}" in detail.second_person


def words(action: RelayAction, meter: str, *, second_person: bool) -> Words:
    """Returns the texts for cutting or restoring the supply of ``meter``."""
    when = "within about 10 seconds" + (" of approval" if second_person else "")
    sent = "requested; it waits for an approver" if second_person else "is on its way"
    verb = "Request" if second_person else "Start"
    note = APPROVAL_NOTE if second_person else ALONE_NOTE
    if action == "disconnect":
        return Words(
            f"Disconnect supply to {meter}?",
            f"The premises lose power {when} and stay without it until they are reconnected.",
            "Keep connected",
            f"{verb} disconnect",
            f"Disconnect of {meter} {sent}.",
            note,
        )
    return Words(
        f"Reconnect supply to {meter}?",
        f"The premises get power back {when}; whatever was switched on there starts again.",
        "Leave disconnected",
        f"{verb} reconnect",
        f"Reconnection of {meter} {sent}.",
        note,
    )


def facts(detail: MeterDetail) -> list[tuple[str, str]]:
    """Returns who and what is behind the relay."""
    number, unit = power(detail.load_w)
    return [
        ("Customer", detail.row.customer or "none recorded"),
        ("Address", detail.row.address or "none recorded"),
        (
            "Life support",
            "FLAGGED: someone depends on it" if detail.row.life_support else "none recorded",
        ),
        ("Present load", MISSING if detail.load_w is None else f"{number} {unit}"),
    ]


def tail_matches(meter: str, tail: str) -> bool:
    """Says whether ``tail`` is the last four digits of the serial number."""
    return len(tail) == 4 and meter.endswith(tail)


def blocked(detail: MeterDetail, action: RelayAction) -> str | None:
    """Returns why this may not be asked now, as the service says it."""
    return detail.disconnect_blocked if action == "disconnect" else detail.reconnect_blocked


def offered(detail: MeterDetail) -> list[RelayAction]:
    """Returns which way the relay could move; both where its state is not known."""
    if detail.row.relay_output is None:
        return ["reconnect", "disconnect"]
    return ["disconnect"] if detail.row.relay_output else ["reconnect"]
