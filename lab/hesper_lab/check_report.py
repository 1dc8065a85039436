"""The acceptance run's report for people."""

from rich.console import Console
from rich.table import Table

from hesper_lab.check import Report

_EXPLAINED = {
    "setup_s": "seconds until the system was live",
    "latched": "readings that meters latched",
    "stored": "of these in the store",
    "lost": "latched and not stored",
    "duplicated": "stored twice",
    "altered": "stored with another value",
    "phantom": "stored and never latched",
    "latch_to_store_p99_ms": "99 % were stored within",
    "relay_confirmed_ms": "from approval to the relay read back",
    "captured_values_expected": "numbers in replayed frames of real meters",
    "captured_values_matched": "of these in the store",
    "ok": "every promise held",
}


def show(report: Report, screen: Console) -> None:
    """Print the report as a table."""
    table = Table(show_header=False, box=None)
    for name, value in report.to_json().items():
        table.add_row(_EXPLAINED[name], f"[bold]{value}[/]", f"[dim]{name}[/]")
    screen.print(table)
