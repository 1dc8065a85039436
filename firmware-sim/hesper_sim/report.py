"""What the command line shows: a fleet that is up, its keys, its faults; tables for people."""

from __future__ import annotations

import shlex
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from hesper_sim import faults
from hesper_sim.scenario import describe

_PIPED_WIDTH = 160
_CLIENTS = {
    "16": "none (name and clock)",
    "2": "LLS (reads)",
    "1": "HLS GMAC, ciphered",
    "3": "HLS MD5",
    "4": "HLS SHA-1",
    "5": "HLS GMAC, plain",
    "6": "HLS SHA-256",
    "7": "HLS ECDSA, suite 1, 2",
}
_NAME = "1:0.0.42.0.0.255:2"


def print_ready(ready: dict[str, Any], state: str) -> None:
    """Print how each meter is reached, by whom, and where its keys are: 80 columns do."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    told, count = ready["fleet"], ready["meters"]
    title = f"{count} meters" + (f", the first {len(told)}" * (len(told) < count))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("serial", no_wrap=True)
    table.add_column("suite", no_wrap=True)
    table.add_column("hesper-dlms read …", overflow="fold")
    for meter in told:
        table.add_row(meter["serial"], str(meter["security_suite"]), way_to(meter))
    console.print(table)
    console.print(_hints(told, state), soft_wrap=True)


def way_to(meter: dict[str, Any]) -> str:
    """Return the options with which hesper-dlms reaches a meter; in words where it cannot."""
    host, _, port = meter["reach"].rpartition(":")
    access = meter["access"]
    if access == "dial-in":
        return f"none: it calls the gateway ({meter['line']})"
    if access in ("rs485", "optical"):
        options = ["--serial", meter["reach"], *(["--mode-e"] if access == "optical" else [])]
    else:
        options = ["--host", host, "--port", port]
    options += {"udp": ["--udp"], "hdlc-tcp": ["--link", "hdlc"]}.get(access, [])
    if meter["server_address"] != 1:
        options += ["--server", str(meter["server_address"])]
    if meter["physical_address"] is not None:
        options += ["--physical", str(meter["physical_address"])]
    if meter["referencing"] == "short-name":
        options += ["--referencing", "short-name"]
    return " ".join(options)


def _hints(told: list[dict[str, Any]], state: str) -> str:
    """Return what can be done next, as commands that run as they stand."""
    if not told:
        return "Ctrl-C stops the fleet."
    known = {address for meter in told for address in meter["clients"]}
    shown = [f"{address:>2} {what}" for address, what in _CLIENTS.items() if address in known]
    direct = [meter for meter in told if meter["access"] == "tcp"]
    serial, folder = (direct or told)[0]["serial"], shlex.quote(state)
    lines = ["", "Clients and their authentication:"]
    lines += [
        "  " + "".join(f"{each:<27}" for each in shown[at : at + 3]).rstrip()
        for at in range(0, len(shown), 3)
    ]
    lines += [
        "Secrets, all of them, or of one client as hesper-dlms takes them; faults:",
        f"  hesper-sim keys {serial} --state {folder}",
        f"  hesper-sim keys {serial} --client 1 --state {folder} > keys.json",
        f"  hesper-sim fault {serial} silent --state {folder}",
        "  hesper-sim faults",
    ]
    if direct:
        way, suite = way_to(direct[0]), direct[0]["security_suite"]
        lines += [
            "Read a name; read the energy, ciphered:",
            f"  hesper-dlms read {way} {_NAME}",
            f"  hesper-dlms read {way} --client 1 --suite {suite} \\",
            "    --authentication gmac --keys-file keys.json register:1.0.1.8.0.255:value",
        ]
    return "\n".join([*lines, "Ctrl-C stops the fleet."])


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
