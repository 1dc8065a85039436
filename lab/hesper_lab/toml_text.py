"""TOML text from plain tables; enough for the configuration files that the lab writes."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Table = Mapping[str, Any]
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def text(document: Table) -> str:
    """Return TOML; values of None are left out, lists of tables become ``[[name]]``."""
    return "\n".join(_lines(document, "")) + "\n"


def _lines(table: Table, path: str) -> list[str]:
    present = {name: value for name, value in table.items() if value is not None}
    lines = [
        f"{_key(name)} = {_scalar(value)}"
        for name, value in present.items()
        if not _is_table(value)
    ]
    for name, value in present.items():
        full = f"{path}{_key(name)}"
        if isinstance(value, Mapping):
            lines += ["", f"[{full}]", *_lines(value, f"{full}.")]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{full}]]", *_lines(row, f"{full}.")]
    return lines


def _is_table(value: object) -> bool:
    rows = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return isinstance(value, Mapping) or bool(rows and isinstance(rows[0], Mapping))


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _scalar(name)


def _scalar(value: object) -> str:
    """Return a value; TOML's texts are JSON's but for pairs of surrogates and a bare DEL."""
    text = json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
