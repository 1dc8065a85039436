"""All targets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hesper_lab.fuzz import apdus, links, readable, sessions, values

TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    **values.TARGETS,
    **apdus.TARGETS,
    **links.TARGETS,
    **sessions.TARGETS,
    **readable.TARGETS,
}
