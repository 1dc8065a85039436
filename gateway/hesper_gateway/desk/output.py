"""How the commands of `hesper-dlms` print: JSON on stdout, tables for people.

What stands in a table came from a meter: none of it is taken for rich's markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_INDENT = 2
_WIDEST = 1 << 16


def print_json(value: object) -> None:
    """Print one value; other characters than ASCII are escaped, whatever the terminal takes."""
    sys.stdout.write(json.dumps(value, indent=_INDENT) + "\n")


def folding(*headings: str) -> Table:
    """Return a table whose cells go on in the next line: none of a long value is cut off."""
    return Table(*(Column(each, overflow="fold") for each in headings))


def add_row(table: Table, cells: Iterable[str]) -> None:
    """Add a row of texts as they are."""
    table.add_row(*map(Text, cells))


def print_whole(table: Table) -> None:
    """Print a table as wide as it is: no figure is cut, be it for a narrow terminal or a pipe."""
    console = Console()
    wide = console.options.update(width=_WIDEST)
    width = Measurement.get(console, wide, table).maximum
    Console(width=max(console.width, width)).print(table, soft_wrap=True)


class JsonLists:
    """Prints `{"first": […], "second": […]}` while the items of the first come in.

    A capture of many megabytes needs no memory for its messages so. Items of the second list, of
    which there should be few, wait for their turn.
    """

    def __init__(self, first: str, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._out.write(f'{{\n  "{first}": [')
        self._empty = True

    def add(self, item: object) -> None:
        """Print an item of the first list."""
        text = json.dumps(item, indent=_INDENT).replace("\n", "\n    ")
        self._out.write(("\n    " if self._empty else ",\n    ") + text)
        self._empty = False

    def end(self, second: str, items: Iterable[object]) -> None:
        """Close the first list and print the second."""
        rest = json.dumps(list(items), indent=_INDENT).replace("\n", "\n  ")
        closing = "]" if self._empty else "\n  ]"
        self._out.write(f'{closing},\n  "{second}": {rest}\n}}\n')
