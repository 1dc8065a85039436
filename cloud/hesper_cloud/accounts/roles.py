"""Who may do what: four roles, each with all that the one before it may."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The roles, weakest first."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Permission(StrEnum):
    """What an operation asks for."""

    READ = "read"
    ACKNOWLEDGE_ALERT = "acknowledge alerts"
    REQUEST_COMMAND = "request commands"
    ENGAGE_KILL_SWITCH = "engage the kill switch"
    APPROVE_COMMAND = "approve commands"
    BRING_SERIES = "bring series"
    EDIT_READINGS = "edit readings"
    READ_AUDIT = "read the audit log"
    ADMINISTER = "administer"


_GRANTED_FROM = {
    Permission.READ: Role.VIEWER,
    Permission.ACKNOWLEDGE_ALERT: Role.OPERATOR,
    Permission.REQUEST_COMMAND: Role.OPERATOR,
    Permission.ENGAGE_KILL_SWITCH: Role.OPERATOR,
    Permission.APPROVE_COMMAND: Role.APPROVER,
    Permission.BRING_SERIES: Role.OPERATOR,
    Permission.EDIT_READINGS: Role.APPROVER,
    Permission.READ_AUDIT: Role.APPROVER,
    Permission.ADMINISTER: Role.ADMIN,
}
_ORDER = list(Role)


def grants(role: Role, permission: Permission) -> bool:
    """Says whether ``role`` holds ``permission``."""
    return _ORDER.index(role) >= _ORDER.index(_GRANTED_FROM[permission])


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or machine on whose behalf a service acts."""

    username: str
    role: Role

    def may(self, permission: Permission) -> bool:
        """Says whether this actor holds ``permission``: pages hide by it, services refuse."""
        return grants(self.role, permission)
