"""The demo: a whole Hesper on this machine until Ctrl-C."""

import contextlib
import signal
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from hesper_lab.launched import typed_at
from hesper_lab.processes import stop_signals
from hesper_lab.running import running
from hesper_lab.site import Site, Wishes

_WATCH_S = 1.0


def run(folder: Path, wishes: Wishes, screen: Console, *, install: bool = True) -> None:
    """Start a site in a folder, say where the console is, and stop it all when asked to."""
    began = typed_at()
    for number in stop_signals():
        signal.signal(number, _asked_to_stop)
    site = Site.open(folder, wishes)
    try:
        with running(site, _Teller(screen, began), install=install) as system:
            screen.print(_welcome(site, time.time() - began))
            while True:
                time.sleep(_WATCH_S)
                system.check()
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be what went
            screen.print("stopped; the state stays, the next start goes on from it", style="dim")


def _asked_to_stop(_number: int, _frame: FrameType | None) -> None:
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)  # a second one would end the stopping
    raise KeyboardInterrupt


class _Teller:
    """Says each step with the seconds since the start."""

    def __init__(self, screen: Console, began: float) -> None:
        self._screen = screen
        self._began = began

    def __call__(self, text: str) -> None:
        self._screen.print(f"[dim]{time.time() - self._began:5.1f} s[/] {text}", highlight=False)


def _welcome(site: Site, seconds: float) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_row("Console", f"[bold link={site.url}]{site.url}[/]")
    for account in site.accounts:
        table.add_row(account.role, f"{account.username}  [bold]{account.password}[/]")
    table.add_row("REST", f"{site.url}/api/v1/openapi.json")
    table.add_row("State and logs", str(site.folder))
    table.add_row("Faults", f"./hesper run hesper-sim fault --state {site.sim} --help")
    return Panel(
        table,
        title=f"Hesper runs ({seconds:.0f} s)",
        subtitle="Ctrl-C stops it",
        expand=False,
        border_style="blue",
    )
