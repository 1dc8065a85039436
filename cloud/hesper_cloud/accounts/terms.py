"""What an account is: its role, where it sees, what a machine's tokens may name, its address."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hesper_cloud.accounts.roles import Permission, Role, granted

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_EMAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[^@\s,;<>\"']{1,185}")
_AREA_LENGTH = 64
_MOST_AREAS = 200


def check_username(username: str) -> None:
    """Checks that a name can name an account.

    Raises:
        ValueError: it cannot; the text says what can.
    """
    if not _USERNAME.fullmatch(username):
        raise ValueError(f"{username!r} cannot name an account: use a-z, 0-9, '.', '_', '-'")


def role_named(name: object) -> Role:
    """Returns a role by its name.

    Raises:
        ValueError: there is none.
    """
    if name not in set(Role):
        raise ValueError(f"there is no role {name!r}; known: {', '.join(Role)}")
    return Role(str(name))


def scopes_named(names: Iterable[object], within: frozenset[Permission]) -> frozenset[Permission]:
    """Returns scopes by their names.

    Raises:
        ValueError: one is none, or is not within what may be given; or there are none at all.
    """
    known, wanted = {str(each) for each in within}, list(names)
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"there is no scope {name!r} to give; known: {', '.join(sorted(known))}"
            )
    if not wanted:
        raise ValueError("name at least one scope")
    return frozenset(Permission(str(name)) for name in wanted)


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one account; ``areas`` None: everywhere, ``scopes`` of a service alone."""

    role: Role
    areas: tuple[str, ...] | None = None
    scopes: frozenset[Permission] | None = None
    email: str | None = None

    def check(self) -> None:
        """Checks that they go together.

        Raises:
            ValueError: they do not; the text says what to change.
        """
        if self.role is Role.ADMIN and self.areas is not None:
            raise ValueError("an admin keeps the whole house: leave the areas out")
        if (self.role is Role.SERVICE) != (self.scopes is not None):
            raise ValueError("a service has scopes, and nobody else has")
        if self.scopes is not None:
            scopes_named(self.scopes, granted(Role.SERVICE))
        if self.areas is not None:
            _check_areas(self.areas)
        if self.email is not None and not _EMAIL.fullmatch(self.email):
            raise ValueError(f"{self.email!r} is no e-mail address")

    def said(self) -> str:
        """Returns them in words, for the audit log."""
        words = [str(self.role)]
        words.append("everywhere" if self.areas is None else f"in {', '.join(self.areas)}")
        if self.scopes is not None:
            words.append(f"may {', '.join(sorted(self.scopes))}")
        return "; ".join(words if self.email is None else [*words, self.email])


def _check_areas(areas: tuple[str, ...]) -> None:
    if not 0 < len(areas) <= _MOST_AREAS:
        raise ValueError(f"name 1 to {_MOST_AREAS} areas, or none at all for everywhere")
    for area in areas:
        if not 0 < len(area) <= _AREA_LENGTH or not area.isprintable():
            raise ValueError(f"{area!r} cannot name an area")
