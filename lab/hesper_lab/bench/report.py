"""Runs a benchmark by name and shows its rows."""

import importlib
import json
from collections.abc import Sequence
from typing import Final

import typer
from rich.console import Console
from rich.table import Column, Table

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
    """Return a table that gives way in its words, never in its figures."""
    table = Table("what", Column("value", justify="right", no_wrap=True), "unit")
    shown = [[row["name"], _cell(row["value"]), row["unit"]] for row in rows]
    if any(row["target"] is not None for row in rows):
        table.add_column("target", justify="right", no_wrap=True)
        shown = [[*cells, _target(row)] for cells, row in zip(shown, rows, strict=True)]
    if any(row["peer"] is not None for row in rows):
        table.add_column("beside")
        shown = [[*cells, _beside(row)] for cells, row in zip(shown, rows, strict=True)]
    for column in table.columns:
        column.overflow = "fold"
    for cells in shown:
        table.add_row(*cells)
    return table


def _target(row: Row) -> str:
    return "" if row["target"] is None else f"{_SIGNS[row['better']]} {_cell(row['target'])}"


def _beside(row: Row) -> str:
    """Return what a peer reached in the same run, and how many times better ours is."""
    if row["peer"] is None:
        return ""
    return f"{row['peer']}: {_cell(row['peer_value'])} (×{_cell(row['ratio'])})"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:,.1f}"
