"""A file as rows: separator and header are found, blank lines and empty columns left out."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hesper_cloud.imports.columns import COLUMNS, REASON, ImportKind, titles
from hesper_cloud.imports.encodings import Encoding, decoded
from hesper_cloud.imports.problems import NotASheet
from hesper_cloud.worded import worded

Separator = Literal[",", ";", "\t", "|"]
SEPARATORS: tuple[Separator, ...] = (",", ";", "\t", "|")
MOST_OCTETS = 64 * 1024 * 1024
MOST_ROWS = 250_000
_MOST_COLUMNS = 200
_HEADER_WITHIN = 20  # rows
_LINE = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]+")  # as old and new systems end them
_OWN_SEPARATOR = "sep="  # a first line that tells a spreadsheet
_QUOTES = (
    "row {row}: a quote is not closed, text follows a closing one, or a cell is far too long;"
    ' double the quotes inside of a quoted cell, as in "the ""old"" mill"'
)


class SheetRow(NamedTuple):
    """One row: its number as a spreadsheet counts, and its cells in the order of the columns.

    ``beyond`` is what stands to the right of the header's last column.
    """

    number: int
    cells: list[str]
    beyond: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One file that could be read as a table."""

    kind: ImportKind
    text: str
    encoding: str
    separator: str
    header_row: int
    width: int  # of the header
    places: tuple[int | None, ...]  # of each column in the file; None: it is not there

    def rows(self) -> Iterator[SheetRow]:
        """Yields the rows with something in them.

        Raises:
            NotASheet: the quotes are broken, or there are too many rows.
        """
        count = 0
        for number, cells in numbered(self.text, self.separator):
            if number <= self.header_row or not _holds_something(cells):
                continue
            count += 1
            if count > MOST_ROWS:
                raise NotASheet(
                    worded(
                        "more than {most_rows} rows; bring the file in parts", most_rows=MOST_ROWS
                    )
                )
            cells += [""] * (self.width - len(cells))
            named = ["" if place is None else cells[place] for place in self.places]
            yield SheetRow(number, named, "".join(cells[self.width :]).strip())


def _holds_something(cells: Sequence[str]) -> bool:
    return bool(cells) and bool(cells[0].strip() or "".join(cells).strip())


def opened(
    octets: bytes, kind: ImportKind, encoding: Encoding | None, separator: Separator | None
) -> Sheet:
    """Finds out how a file is to be read.

    Raises:
        NotASheet: it is too long, no text, or has another header; the text says what to do.
    """
    if len(octets) > MOST_OCTETS:
        raise NotASheet(
            worded(
                "at most {most_octets} MiB; bring the file in parts",
                most_octets=MOST_OCTETS // 1024 // 1024,
            )
        )
    text, name = decoded(octets, encoding)
    told = separator or _told(text)
    tries = [told] if told else list(SEPARATORS)
    headers = [(each, *_header(text, each)) for each in tries]
    wanted = set(map(_bare, titles(kind)))
    best = max(headers, key=lambda found: len(wanted & set(map(_bare, found[2]))))
    places = _places(kind, best[2])
    return Sheet(kind, text, name, best[0], best[1], len(best[2]), places)


def numbered(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields all rows, blank ones too, with their numbers.

    Raises:
        NotASheet: the quotes are broken, or a line has far too many separators.
    """
    reader = csv.reader(_lines(text, separator), delimiter=separator, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, cells
    except csv.Error:
        raise NotASheet(_QUOTES.format(row=number + 1)) from None


def _lines(text: str, separator: str) -> Iterator[str]:
    """Yields the lines one by one; none becomes more cells than a table has columns.

    Raises:
        NotASheet: one would.
    """
    for found in _LINE.finditer(text):
        line = found.group()
        if line.count(separator) > _MOST_COLUMNS:
            raise NotASheet(
                worded(
                    "there are rows of more than {most_columns} columns: no such table",
                    most_columns=_MOST_COLUMNS,
                )
            )
        yield line


def _told(text: str) -> str | None:
    """Returns the separator that the first line tells, where it does."""
    first = text[: len(_OWN_SEPARATOR) + 1].lower()
    return first[-1] if first[:-1] == _OWN_SEPARATOR and first[-1] in SEPARATORS else None


def _header(text: str, separator: str) -> tuple[int, list[str]]:
    """Returns the first row with something in it, and its number; nothing where there is none."""
    try:
        for number, cells in numbered(text, separator):
            if number > _HEADER_WITHIN:
                break
            if "".join(cells).strip() and not cells[0].lower().startswith(_OWN_SEPARATOR):
                while cells and not cells[-1].strip():
                    cells.pop()
                return number, cells
    except NotASheet:
        pass
    return 0, []


def _places(kind: ImportKind, header: Sequence[str]) -> tuple[int | None, ...]:
    bare = [_bare(title) for title in header]
    known = [_bare(title) for title in titles(kind)]
    wanted = ",".join(titles(kind))
    strange = [
        title.strip()[:40]
        for title, name in zip(header, bare, strict=True)
        if name and name not in known and name != REASON
    ]
    if len(strange) == len([name for name in bare if name]):
        raise NotASheet(worded("the first row names the columns: {wanted}", wanted=wanted))
    if strange:
        raise NotASheet(
            worded(
                "{kind} have no column {strange}; they have {wanted}",
                kind=kind,
                strange=", ".join(strange),
                wanted=wanted,
            )
        )
    twice = sorted({title for title, name in zip(header, bare, strict=True) if _twice(bare, name)})
    if twice:
        raise NotASheet(worded("the column {twice} is there twice", twice=", ".join(twice)))
    missing = [
        column.title
        for column in COLUMNS[kind]
        if column.required and _bare(column.title) not in bare
    ]
    if missing:
        raise NotASheet(worded("the column {missing} is missing", missing=", ".join(missing)))
    return tuple(bare.index(name) if name in bare else None for name in known)


def _twice(bare: Sequence[str], name: str) -> bool:
    return bool(name) and bare.count(name) > 1


def _bare(title: str) -> str:
    """Returns a title without what people change about it: case, spaces, underscores."""
    return "".join(letter for letter in title.casefold() if letter.isalnum())
