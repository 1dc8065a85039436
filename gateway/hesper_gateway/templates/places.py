"""Where in a TOML file a key was written: tomllib gives values alone, people need line numbers.

Only what a template can contain is followed: table headers, keys (dotted and quoted ones too) and
values over several lines. The file has been read by tomllib before, so it is known to be TOML.
"""

import re
from collections.abc import Iterator

Place = tuple[str, ...]
"""Keys from the outermost table to the value."""

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEYS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEYS})\s*\]")
_ENTRY = re.compile(rf"\s*({_KEYS})\s*=(.*)")
_INLINE = re.compile(rf"[{{,]\s*({_KEYS})\s*=")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'")
_COMMENT = re.compile(r"#.*")
_QUOTES = ('"""', "'" * 3)


def places(text: str) -> dict[Place, int]:
    """Return the line, from 1, of every table and key of a TOML document."""
    found: dict[Place, int] = {}
    table: Place = ()
    for number, line in _statements(text):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], number)
        elif entry := _ENTRY.match(line):
            place = (*table, *_parts(entry[1]))
            found.setdefault(place, number)
            value = entry[2].lstrip()
            if value.startswith("{"):
                for inner in _INLINE.finditer(value):
                    found.setdefault((*place, *_parts(inner[1])), number)
    return found


def line_of(found: dict[Place, int], place: Place) -> int | None:
    """Return the line of a key, or of the table around it; None where the file has neither."""
    for length in range(len(place), 0, -1):
        if place[:length] in found:
            return found[place[:length]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines on which something begins, with their numbers."""
    depth, closing = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if not depth:
            yield number, line
        closing = next((quotes for quotes in _QUOTES if line.count(quotes) == 1), "")
        bare = _COMMENT.sub("", _STRING.sub("", line))
        if depth or "=" in bare:
            depth += sum(map(bare.count, "[{")) - sum(map(bare.count, "]}"))


def _parts(keys: str) -> Place:
    return tuple(each.strip("\"' ") for each in re.findall(_PART, keys))
