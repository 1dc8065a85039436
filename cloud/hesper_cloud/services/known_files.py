"""What the head end knows of gateways' configurations: the files that they confirmed.

A gateway answers ``gateway.configure`` with the SHA-256 of the file that is in force. Where that is
the file of the command, its text is known; a file that was changed on site since is not, and
nothing is said of it. Of a gateway that was never configured from here nothing is known.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from hesper_cloud.authority.kinds import CONFIGURE
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading


@dataclass(frozen=True, slots=True)
class KnownFile:
    """The gateway.toml that a gateway said to be in force, and by which command."""

    text: str = field(repr=False)
    command: str
    confirmed_at: datetime

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        return tomllib.loads(self.text)


def known_files(authority: Engine, gateways: list[str]) -> dict[str, KnownFile]:
    """Returns the newest confirmed file of each gateway that has one."""
    query = (
        select(CommandRecord)
        .where(CommandRecord.kind == CONFIGURE, CommandRecord.state == "confirmed")
        .order_by(CommandRecord.updated_at)
    )
    wanted = set(gateways)
    found: dict[str, KnownFile] = {}
    with reading(authority) as session:
        for record in session.scalars(query):
            text = str(record.parameters.get("toml", ""))
            digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
            if record.gateway not in wanted:
                continue
            if (record.findings or {}).get("configuration") == digest:
                plain = text.removeprefix("\ufeff")  # of an editor of Windows
                found[record.gateway] = KnownFile(plain, record.id, record.updated_at)
            else:
                found.pop(record.gateway, None)
    return found


def with_table(text: str, name: str, values: Mapping[str, int | float | str | bool]) -> str:
    """Returns a TOML text whose table `name` has these values, everything else as it was.

    Raises:
        ValueError: the text cannot be changed line by line without changing something else.
    """
    before = tomllib.loads(text)
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip() == f"[{name}]"), len(lines))
    end = next(
        (n for n in range(start + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines)
    )
    table = [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
    changed = "\n".join([*lines[:start], *table, *lines[end:]]) + "\n"
    if tomllib.loads(changed) != {**before, name: dict(values)}:
        raise ValueError(f"[{name}] of this file cannot be replaced by itself")
    return changed


def _toml(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
