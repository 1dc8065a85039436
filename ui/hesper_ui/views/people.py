"""Words and shapes for accounts."""

from collections.abc import Sequence

from hesper_ui.services import UserRow
from hesper_ui.views.lists import joined
from hesper_ui.views.looks import Look
from hesper_ui.words import later, say

ROLES = {
    "viewer": later("viewer"),
    "operator": later("operator"),
    "approver": later("approver"),
    "admin": later("admin"),
    "auditor": later("auditor"),
    "service": later("service"),
}
STATES = {
    "active": Look("normal", later("active")),
    "locked": Look("warning", later("locked for now")),
    "disabled": Look("stopped", later("disabled")),
}

PERMISSIONS = (
    later("acknowledge alerts"),
    later("request commands"),
    later("engage the kill switch"),
    later("edit assets"),
    later("approve commands"),
    later("bring series"),
    later("bring readings"),
    later("edit readings"),
    later("edit rules"),
    later("order jobs"),
    later("read the audit log"),
    later("read the accounts"),
    later("administer"),
)
"""What a refusal says that a role may not."""


def state_of(row: UserRow) -> Look:
    """Returns how an account stands."""
    if row.disabled:
        return STATES["disabled"]
    return STATES["locked" if row.locked else "active"]


def places_of(areas: Sequence[str] | None) -> str:
    """Returns where somebody sees."""
    return say("everywhere") if areas is None else joined(areas)
