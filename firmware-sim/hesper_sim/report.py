"""What the command line shows: a fleet that is up, its keys, its faults; tables for people."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from hesper_sim import faults
from hesper_sim.scenario import describe

_PIPED_WIDTH = 160
_CLIENTS = """\
Clients: 16 public (none)   2 reading (LLS, --password)   1 management (HLS GMAC, ciphered)
         3 HLS MD5   4 HLS SHA-1   5 HLS GMAC, not ciphered   6 HLS SHA-256   7 HLS ECDSA"""


def print_ready(ready: dict[str, Any], state: str) -> None:
    """Print how each meter is reached, by whom, and where its keys are."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    told, count = ready["fleet"], ready["meters"]
    table = Table(title=f"{count} meters" + (f", the first {len(told)}" * (len(told) < count)))
    for column in ("serial", "kind", "reach", "link", "server", "suite", "names", "clients"):
        table.add_column(column, overflow="fold", no_wrap=column in ("serial", "reach"))
    for meter in told:
        table.add_row(
            meter["serial"],
            meter["kind"],
            meter["reach"],
            meter["access"],
            address_of(meter),
            str(meter["security_suite"]),
            "short" if meter["referencing"] == "short-name" else "logical",
            " ".join(meter["clients"]),
        )
    console.print(table)
    console.print(_CLIENTS)
    console.print(f"Test keys: hesper-sim keys SERIAL --state {state}", soft_wrap=True)
    console.print(f"Break one: hesper-sim fault SERIAL silent --state {state}", soft_wrap=True)
    console.print("Every fault: hesper-sim faults.   Ctrl-C stops the fleet.")


def address_of(meter: dict[str, Any]) -> str:
    """Return `wPort 3` or, on HDLC, `1/17` (logical/physical)."""
    if meter["physical_address"] is None:
        return f"wPort {meter['server_address']}"
    return f"{meter['server_address']}/{meter['physical_address']}"


def print_keys(answer: dict[str, Any]) -> None:
    """Print identities and keys, one block for each meter."""
    console = Console(highlight=False)
    for meter in answer["meters"]:
        _print_block(console, meter.get("serial", ""), meter)
    _print_block(console, "head end (the client)", answer["head_end"])


def _print_block(console: Console, title: str, fields: dict[str, Any]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in fields.items():
        if isinstance(value, dict):
            text = "\n".join(f"{key}: {each}" for key, each in value.items())
        else:
            text = "" if value is None else str(value)
        table.add_row(name.replace("_", " "), text)
    console.print(table, soft_wrap=False)


def print_catalogue() -> None:
    """Print every fault that there is."""
    table = Table(title="Faults; VALUE is its number, with its default")
    for column in ("fault", "value", "what happens"):
        table.add_column(column, no_wrap=column == "fault")
    for fault in faults.Fault:
        table.add_row(*describe(fault))
    Console().print(table)


def print_faults(answer: dict[str, Any]) -> None:
    """Print what is broken now and what a scenario brings."""
    now = Table(title="Broken now")
    for column in ("meter or line", "fault", "value"):
        now.add_column(column)
    for serial, found in answer["meters"].items():
        for name, value in found.items():
            now.add_row(serial, name, f"{value:g}")
    for line, found in answer["lines"].items():
        for name in found:
            now.add_row(line, name, "")
    Console().print(now)
    if answer["scenario"]:
        Console().print(_scenario_table(answer["scenario"], answer["now"]))


def _scenario_table(entries: list[dict[str, Any]], now: float) -> Table:
    table = Table(title="Scenario")
    for column in ("entry", "fault", "value", "targets", "now", "next"):
        table.add_column(column)
    for each in entries:
        value, next_at = each["value"], each["next_at"]
        table.add_row(
            str(each["entry"]),
            each["fault"],
            "" if value is None else f"{value:g}",
            str(each["targets"]),
            f"{len(each['struck'])} struck" if each["active"] else "",
            "" if next_at is None else f"{_clock(next_at)}, in {next_at - now:.0f} s",
        )
    return table


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
