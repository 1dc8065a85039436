"""How much memory a process may have: the machine's, or less where a container has a limit."""

import os
from collections.abc import Iterator
from pathlib import Path

_UNIFIED = ("sys/fs/cgroup", "memory.max")
_BY_CONTROLLER = ("sys/fs/cgroup/memory", "memory.limit_in_bytes")


def usable_octets(root: Path = Path("/")) -> int:
    """Returns the least of the machine's memory and the limits of this process's control groups."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Yields the limits of the groups that this process is in, up to the outermost in sight.

    A container that does not see the names of its groups has its own where theirs begin.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        place, limit = _BY_CONTROLLER if controllers else _UNIFIED
        groups = Path(name.lstrip("/"))
        for group in (groups, *groups.parents):
            text = _text(root / place / group / limit).strip()
            if text.isdigit():  # else "max", or nothing
                yield int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
