"""Who may do what: four roles of which each has all that the one before it may, and two beside.

The auditor reads everything, the audit log and the accounts included, and changes nothing. The
service is a machine: its role only bounds what the scopes of its tokens may name.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The roles: those of people weakest first, then those beside the ladder."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    AUDITOR = "auditor"
    SERVICE = "service"


class Permission(StrEnum):
    """What an operation asks for; a token's scopes are some of these."""

    READ = "read"
    ACKNOWLEDGE_ALERT = "acknowledge alerts"
    REQUEST_COMMAND = "request commands"
    ENGAGE_KILL_SWITCH = "engage the kill switch"
    EDIT_ASSETS = "edit assets"
    APPROVE_COMMAND = "approve commands"
    BRING_SERIES = "bring series"
    BRING_READINGS = "bring readings"
    EDIT_READINGS = "edit readings"
    EDIT_RULES = "edit rules"
    ORDER_JOBS = "order jobs"
    READ_AUDIT = "read the audit log"
    READ_ACCOUNTS = "read the accounts"
    ADMINISTER = "administer"


_GRANTED_FROM = {
    Permission.READ: Role.VIEWER,
    Permission.ACKNOWLEDGE_ALERT: Role.OPERATOR,
    Permission.REQUEST_COMMAND: Role.OPERATOR,
    Permission.ENGAGE_KILL_SWITCH: Role.OPERATOR,
    Permission.EDIT_ASSETS: Role.OPERATOR,
    Permission.APPROVE_COMMAND: Role.APPROVER,
    Permission.BRING_SERIES: Role.OPERATOR,
    Permission.BRING_READINGS: Role.ADMIN,
    Permission.EDIT_READINGS: Role.APPROVER,
    Permission.EDIT_RULES: Role.APPROVER,
    Permission.ORDER_JOBS: Role.OPERATOR,
    Permission.READ_AUDIT: Role.APPROVER,
    Permission.READ_ACCOUNTS: Role.ADMIN,
    Permission.ADMINISTER: Role.ADMIN,
}
LADDER = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
"""The roles of people who act, each with all that the one before it may."""
_BESIDE = {
    Role.AUDITOR: frozenset({Permission.READ, Permission.READ_AUDIT, Permission.READ_ACCOUNTS}),
    Role.SERVICE: frozenset(
        {
            Permission.READ,
            Permission.ACKNOWLEDGE_ALERT,
            Permission.REQUEST_COMMAND,
            Permission.BRING_SERIES,
            Permission.BRING_READINGS,
            Permission.EDIT_ASSETS,
            Permission.ORDER_JOBS,
        }
    ),
}


def grants(role: Role, permission: Permission) -> bool:
    """Says whether ``role`` holds ``permission``."""
    if role in _BESIDE:
        return permission in _BESIDE[role]
    return LADDER.index(role) >= LADDER.index(_GRANTED_FROM[permission])


def granted(role: Role) -> frozenset[Permission]:
    """Returns all that a role holds."""
    return frozenset(each for each in Permission if grants(role, each))


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or machine on whose behalf a service acts.

    ``areas`` are those whose meters it sees, None for all of them, unknown places included;
    ``scopes`` are what its token was made for, None for all that the role holds. ``door`` is where
    it came in (``rest``, ``console``, ``live``, ``report``), for the log of who looked at what.
    """

    username: str
    role: Role
    areas: tuple[str, ...] | None = None
    scopes: frozenset[Permission] | None = None
    door: str = "rest"

    def may(self, permission: Permission) -> bool:
        """Says whether this actor holds ``permission``: pages hide by it, services refuse."""
        in_scope = self.scopes is None or permission in self.scopes
        return in_scope and grants(self.role, permission)

    def sees(self, area: str | None) -> bool:
        """Says whether a meter in this area, or in none, is this actor's to see."""
        return self.areas is None or area in self.areas
