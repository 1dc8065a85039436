"""What is wrong with a file that a person wrote, so that the place is found in it."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_TABLES = ("lines", "meters", "modems")
_SAID = {"extra_forbidden": "there is no such setting", "missing": "is missing"}


def complaint(
    source: str, error: ValidationError, document: Mapping[str, Any] | None = None
) -> str:
    """Return one line per misfit, each with its place in the file.

    Args:
        source: The file, as the person calls it.
        error: What does not fit; no value of the file is told.
        document: What stands in the file: meters, lines and modems are told by their names.
    """
    return "\n".join(
        f"{source}: {_place(item['loc'], document or {})}: {_said(item)}"
        for item in error.errors(include_url=False, include_input=False)
    )


def _place(loc: tuple[int | str, ...], document: Mapping[str, Any]) -> str:
    match loc:
        case (str(table), int(number), *rest) if table in _TABLES and table in document:
            entry = document[table][number]
            known = entry if isinstance(entry, dict) else {}
            if rest[:1] == [known.get("kind")]:  # of a line, by which its form was chosen
                rest = rest[1:]
            name = known.get("id", known.get("name", f"number {number + 1}"))
            return ": ".join([f"[[{table}]] {name}", *filter(None, [".".join(map(str, rest))])])
    return ".".join(map(str, loc)) or "file"


def _said(item: Mapping[str, Any]) -> str:
    match item["type"]:
        case "union_tag_not_found":
            return "kind is missing"
        case "union_tag_invalid":
            return f"kind {item['ctx']['tag']!r} is none of {item['ctx']['expected_tags']}"
        case kind:
            return _SAID.get(kind) or str(item["msg"]).removeprefix("Value error, ")
