"""Who asks for a file and whose it is: what a person needs to know where access is refused."""

import os
import pwd
from pathlib import Path


def why(error: OSError) -> str:
    """Return what the system says; where it refuses access, also whose the file is."""
    said = error.strerror or str(error)
    if not isinstance(error, PermissionError) or error.filename is None:
        return said
    path = Path(os.fsdecode(error.filename)).absolute()
    asks = os.geteuid()
    for seen in (path, *path.parents):
        try:
            owner = seen.stat().st_uid
        except OSError:  # within a folder of somebody else
            continue
        if owner == asks:
            return said
        return (
            f"{said}: {seen} belongs to {_name(owner)}, and this runs as {_name(asks)}; "
            "files of the agent belong to its account, which runs it: sudo -u hesper …"
        )
    return said


def _name(account: int) -> str:
    try:
        return pwd.getpwuid(account).pw_name
    except KeyError:
        return f"account {account}"
