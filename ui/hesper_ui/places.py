"""The places of the console: each page's module declares its own, in a list called `PLACES`.

A new page is a module below `hesper_ui.pages`; nothing else has to name it. Where it stands in the
navigation is said by its group and, within that, by its rank.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from nicegui.page_arguments import PageArguments

from hesper_ui.desk import Desk
from hesper_ui.services import Actor, Permission
from hesper_ui.words import later

Build = Callable[[Desk, Actor, PageArguments], Awaitable[None]]
WATCH, ACT, QUALITY, KEEP = later("Watch"), later("Act"), later("Quality"), later("Manage")
GROUPS = (WATCH, ACT, QUALITY, KEEP)


@dataclass(frozen=True, slots=True)
class Place:
    """One page of the console."""

    path: str
    title: str  # in English, said where it is shown
    build: Build
    icon: str | None = None  # places with an icon are in the navigation
    figure: str | None = None  # a live figure shown beside the name
    tone: str = ""
    said: str = ""  # what the figure counts, for who cannot see its place
    needs: Permission = Permission.READ  # without it the navigation leaves the place out
    group: str = KEEP
    rank: int = 50  # within its group, the smallest first
    key: str = ""  # pressed after g, it leads here

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Where it stands in the navigation; addresses with a name in them are tried last."""
        return "{" in self.path, GROUPS.index(self.group), self.rank, self.title


def declared() -> list[Place]:
    """Collects the places of every module below `hesper_ui.pages`, in the navigation's order.

    Raises:
        ValueError: two modules declare the same address.
    """
    from hesper_ui import pages

    found: dict[str, Place] = {}
    for module in iter_modules(pages.__path__, f"{pages.__name__}."):
        declared_here: Sequence[Place] = getattr(import_module(module.name), "PLACES", ())
        for place in declared_here:
            if place.path in found:
                raise ValueError(f"{module.name}: {place.path} is declared twice")
            found[place.path] = place
    return sorted(found.values(), key=lambda place: place.order)
