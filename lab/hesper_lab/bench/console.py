"""The console on a fleet of 100 000 meters: Chromium for what people wait for, simulated clients
for what the server bears.

The head end is the whole of ``hesper-cloud run``. The meters are written into its registry; nothing
is read from them, so that what is measured is the console and its services. A page counts as usable
when its heading and its content are there, which is later than the browser's first paint. Events
come from a gateway over the broker; each is followed from the stamp of its transaction, which is
before the commit, until the frame after its row is painted (`console_events`). What clients cost is
the CPU time of the head end with them, less what it takes without them just before and after.
Memory comes last, of a head end that was started anew for the restarts before it.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from playwright.sync_api import Browser, Error

from hesper_lab import screenshots
from hesper_lab.bench import (
    console_clients,
    console_cpu,
    console_events,
    console_fleet,
    console_restart,
    console_seen,
)
from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s, rss_mb_of
from hesper_lab.processes import Died

_METERS: Final = 100_000
_GATEWAY: Final = "gw-0"
_LISTENERS: Final = 300
_LOOKERS: Final = 100
_PAGES: Final = 500
_HELD: Final = ("/", "/meters", "/alerts", "/gateways", "/commands")
_EVENTS_S: Final = 20.0
_WINDOW_S: Final = 10.0
_WINDOWS: Final = 3
_SETTLE_S: Final = 4.0
_FAILURES: Final = (RuntimeError, Died, Error, httpx.HTTPError)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench console", description=__doc__)
    parser.add_argument("--meters", type=int, default=_METERS, help="how many there are")
    parser.add_argument("--only", choices=_PARTS, nargs="+", help="some parts alone")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Measure all parts, or those that are asked for, on one head end; about five minutes.

    A part that fails, or takes longer than its limit, is told of on stderr, and the figures of the
    others are given.
    """
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        running(Path(name) / "site", "duckdb", [_GATEWAY]) as head_end,
    ):
        _say(f"{asked.meters} meters are entered …")
        site = _Site(head_end, console_fleet.fill(head_end, asked.meters))
        for part in asked.only or _PARTS:
            rows += _measured(part, site)
    return rows


def _measured(part: str, site: _Site) -> list[Row]:
    """Return a part's figures, which are told at once too; none if it fails."""
    begun, rows = time.monotonic(), []
    _say(f"{part} …")
    try:
        with within(_PARTS[part].limit_s):
            rows = _PARTS[part].measure(site)
    except _FAILURES as failure:
        _say(f"{part} was not measured: {failure}")
    for each in rows:
        _say(f"  {each['name']} {each['value']} {each['unit']}")
    _say(f"{part}: {time.monotonic() - begun:.0f} s")
    return rows


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Ends what is done meanwhile once it takes longer; for the main thread.

    Raises:
        RuntimeError: it did, whatever it was waiting for.
    """

    def end(_signal: int, _frame: object) -> None:
        raise RuntimeError(f"it was not over after {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class _Site:
    """What all parts share: one head end with its meters, and sessions that were opened once."""

    head_end: HeadEnd
    meters: list[str]

    @property
    def url(self) -> str:
        return self.head_end.site.url

    @property
    def pid(self) -> int:
        return self.head_end.children["cloud"].pid

    @functools.cached_property
    def cookies(self) -> list[str]:
        return console_fleet.cookies(self.url)

    @contextmanager
    def browser(self) -> Iterator[tuple[Browser, Any]]:
        """A browser, and what it keeps of somebody who has signed in."""
        with screenshots.browser() as browser:
            yield browser, console_fleet.signed_in(browser, self.url)


def _seen(site: _Site) -> list[Row]:
    with site.browser() as (browser, state):
        found = console_seen.loads(browser, site.url, state)
        return found + console_seen.moves(browser, site.url, state)


def _events(site: _Site) -> list[Row]:
    """Return how soon events are painted while many pages list them and many events come."""
    opened = console_clients.opened(site.url, site.cookies, _LOOKERS - 1, events=True)
    told = console_events.told(site.head_end, _GATEWAY, site.meters)
    taking: dict[str, float] = {}
    with site.browser() as (browser, state), opened as clients, told:
        others = {name: child.pid for name, child in site.head_end.children.items()}
        beside = console_cpu.shares({**others, "clients": clients.pid}, taking)
        page = console_seen.arrivals(browser, site.url, state, _EVENTS_S, beside)
    cpu = [
        row(f"console.events_cpu_{name}", share, "% of a core") for name, share in taking.items()
    ]
    return console_events.rows(clients.heard, page, _EVENTS_S) + cpu


def _listened(site: _Site) -> list[Row]:
    """Return what so many open pages cost by their live frames, beside none."""
    time.sleep(_SETTLE_S)
    idle, busy = [_spent(site.pid)], []
    for _ in range(_WINDOWS):
        with console_clients.opened(site.url, site.cookies, _LISTENERS):
            time.sleep(_SETTLE_S)
            busy.append(_spent(site.pid))
        time.sleep(_SETTLE_S)
        idle.append(_spent(site.pid))
    beside = [(before + after) / 2 for before, after in itertools.pairwise(idle)]
    cost = statistics.median(all_ - none for all_, none in zip(busy, beside, strict=True))
    return [
        row("console.cpu_300", cost, "% of a core", 8.0),
        row("console.cpu_0", statistics.median(idle), "% of a core"),
    ]


def _spent(pid: int) -> float:
    """Return the share of a core that a process takes for a while, in percent."""
    before, begun = cpu_s(pid), time.monotonic()
    time.sleep(_WINDOW_S)
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - begun)


def _restarted(site: _Site) -> list[Row]:
    with site.browser() as (browser, state):
        return console_restart.measure(browser, site.head_end, state)


def _held(site: _Site) -> list[Row]:
    """Return the memory of the process that holds so many open pages."""
    empty = rss_mb_of(site.pid)
    with console_clients.opened(site.url, site.cookies, _PAGES, places=_HELD):
        time.sleep(_SETTLE_S)
        full = rss_mb_of(site.pid)
    return [
        row("console.rss_mb_500", full, "MB", 700.0),
        row("console.rss_mb_0", empty, "MB"),
    ]


class _Part(NamedTuple):
    """What a part measures, and how long it may take."""

    measure: Callable[[_Site], list[Row]]
    limit_s: float


_PARTS: Final = {
    "seen": _Part(_seen, 120.0),
    "events": _Part(_events, 120.0),
    "cpu": _Part(_listened, 180.0),
    "restart": _Part(_restarted, 150.0),
    "memory": _Part(_held, 150.0),
}
