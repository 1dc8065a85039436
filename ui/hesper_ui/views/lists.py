"""Names in one line of a form, with commas between them; one that has a comma stands in quotes."""

import csv
from collections.abc import Iterable


def parted(line: str) -> list[str]:
    """Returns the names that a line lists, each once."""
    row = next(csv.reader([line], skipinitialspace=True), [])
    return list(dict.fromkeys(name for each in row if (name := each.strip())))


def joined(names: Iterable[str]) -> str:
    """Returns the line that lists names, as `parted` reads it."""
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name
