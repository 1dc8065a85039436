"""A restore that did not end is noticed, so that nobody starts with a part of what was backed up.

Killed half-way it leaves databases without their readings, commands whose counters were used
already, or people who were erased since. A mark lies in the state folder from before the first copy
until the last order; while it is there head end and authority do not start. It is a person who
removes what was made: what lies there may be all that there is.
"""

from pathlib import Path

from hesper_contracts import durable

from hesper_cloud.provision import ProvisioningError

_MARK = "restoring"


def begin(state: Path, backup: Path) -> None:
    """Leaves the mark, with the backup that is restored."""
    durable.put(state / _MARK, f"{backup}\n".encode())


def end(state: Path) -> None:
    """Takes the mark away: all came back, or nothing is left of it."""
    (state / _MARK).unlink(missing_ok=True)


def refuse(state: Path) -> None:
    """Raises ProvisioningError where a restore did not end."""
    mark = state / _MARK
    if mark.exists():
        backup = mark.read_text(encoding="utf-8").strip()
        raise ProvisioningError(
            f"a restore of {backup} into {state} has not ended: if it was interrupted, remove all"
            " but the keys from the state folder, empty the databases that cloud.toml names beside"
            " it, and restore again"
        )
