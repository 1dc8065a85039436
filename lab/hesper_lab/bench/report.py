"""Runs a benchmark by name and shows its rows."""

import importlib
import json
from collections.abc import Sequence
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from hesper_lab.bench.rows import Row

NAMES: Final = ("api", "commands", "console", "dlms", "gateway", "import", "ingest", "sim", "store")
_MODULES: Final = {"import": "imports"}  # a word of Python's own
_SIGNS: Final = {"higher": "≥", "lower": "≤"}
_WHOLE_FROM: Final = 100


def run(name: str, arguments: Sequence[str] = (), *, as_json: bool) -> None:
    """Run the benchmark and print its rows: JSON on stdout, or a table.

    A module with options of its own has `options`, which takes them apart for its `run`.
    """
    if name not in NAMES:
        raise typer.BadParameter(f"{name!r}; there is: {', '.join(NAMES)}", param_hint="NAME")
    module = importlib.import_module(f"hesper_lab.bench.{_MODULES.get(name, name)}")
    if hasattr(module, "options"):
        rows: list[Row] = module.run(module.options(arguments))
    elif arguments:
        raise typer.BadParameter(f"{name} has no options", param_hint=" ".join(arguments))
    else:
        rows = module.run()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        Console().print(_table(rows))


def _table(rows: list[Row]) -> Table:
    table = Table("what", "value", "unit", "target", "peer", "its value", "times better")
    for name in ("value", "target", "its value", "times better"):
        next(column for column in table.columns if column.header == name).justify = "right"
    table.columns[0].no_wrap = True
    for row in rows:
        wanted = "" if row["target"] is None else f"{_SIGNS[row['better']]} {_cell(row['target'])}"
        peer = (row["peer"], row["peer_value"], row["ratio"])
        table.add_row(row["name"], _cell(row["value"]), row["unit"], wanted, *map(_cell, peer))
    return table


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:,.1f}"
