"""The console on a fleet of 100 000 meters: Chromium for what people wait for, simulated clients
for what the server bears.

The head end is the whole of ``hesper-cloud run``. The meters are written into its registry; nothing
is read from them, so that what is measured is the console and its services. A page counts as usable
when its heading and its content are there, which is later than the browser's first paint. Events
come from a gateway over the broker; each is followed from the stamp of its transaction, which is
before the commit, until the frame after its row is painted. What clients cost is the CPU time of
the head end with them, less what it takes without them just before and after.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from hesper_cloud import provision
from hesper_cloud.db.registry import Meter
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from playwright.sync_api import Browser
from sqlalchemy import insert

from hesper_lab import screenshots
from hesper_lab.bench import console_clients, console_events, console_seen
from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s, rss_mb_of

_PARTS: Final = ("seen", "events", "cpu", "memory")
_METERS: Final = 100_000
_GATEWAY: Final = "gw-0"
_PEOPLE: Final = 20  # accounts that share the simulated clients
_LISTENERS: Final = 300
_LOOKERS: Final = 100
_PAGES: Final = 500
_HELD: Final = ("/", "/meters", "/alerts", "/gateways", "/commands")
_EVENTS_S: Final = 20.0
_WINDOW_S: Final = 15.0
_WINDOWS: Final = 3
_SETTLE_S: Final = 4.0
_AT_ONCE: Final = 5_000
_PASSWORD: Final = "looking-for-a-benchmark"  # noqa: S105 - an account that lives for a minute


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench console", description=__doc__)
    parser.add_argument("--meters", type=int, default=_METERS, help="how many there are")
    parser.add_argument("--only", choices=_PARTS, help="one part alone")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Measure it all on one head end."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        running(Path(name) / "site", "duckdb", [_GATEWAY]) as head_end,
    ):
        meters = _fill(head_end, asked.meters)
        cookies = _cookies(head_end.site.url)
        rows: list[Row] = []
        if asked.only in (None, "seen", "events"):
            with screenshots.browser() as browser:
                state = _signed_in(browser, head_end.site.url)
                if asked.only != "events":
                    rows += console_seen.loads(browser, head_end.site.url, state)
                    rows += console_seen.moves(browser, head_end.site.url, state)
                if asked.only != "seen":
                    rows += _events(browser, head_end, (state, cookies), meters)
        if asked.only in (None, "cpu"):
            rows += _listened(head_end, cookies)
        if asked.only in (None, "memory"):
            rows += _held(head_end, cookies)
        return rows


def _fill(head_end: HeadEnd, meters: int) -> list[str]:
    """Write meters and accounts into the databases of a head end that runs; return some meters."""
    databases = Databases.open(Settings.load(head_end.site.cloud / "cloud.toml"))
    for number in range(_PEOPLE):
        provision.add_user(databases.authority, f"bench-{number}", "operator", _PASSWORD)
    now = datetime.now(UTC)
    with databases.registry.begin() as connection:
        for start in range(0, meters, _AT_ONCE):
            some = [_meter(number, now) for number in range(start, min(start + _AT_ONCE, meters))]
            connection.execute(insert(Meter), some)
    databases.close()
    return [_serial(number) for number in range(0, meters, 97)]


def _meter(number: int, now: datetime) -> dict[str, Any]:
    return {
        "id": _serial(number),
        "state": "commissioned",
        "customer": f"Customer {number * 7919 % 100_000:05d}",
        "address": f"Street {number % 900}, House {number % 97}",
        "area": f"A-{number % 40:02d}",
        "model": ("Hesper SIM-3P", "Kamstrup OMNIPOWER", "Landis+Gyr E450")[number % 3],
        "firmware": "2.4.1" if number % 9 else "2.3.9",
        "relay_output": number % 50 != 0,
        "relay_confirmed_at": now,
        "first_seen_at": now - timedelta(days=90),
        "last_contact_at": now - timedelta(hours=30 if number % 100 == 0 else 0),
        "capture_period_s": 86_400,
    }


def _serial(number: int) -> str:
    return f"HES{10_000_000 + number * 37}"


def _signed_in(browser: Browser, url: str) -> Any:
    """Return what a browser keeps of somebody who has signed in."""
    context = browser.new_context(viewport=console_seen.SIZE)
    page = context.new_page()
    screenshots.sign_in(page, url, "bench-0", _PASSWORD)
    screenshots.settle(page)
    state: Any = context.storage_state()
    context.close()
    return state


def _cookies(url: str) -> list[str]:
    """Return a session of each account.

    Raises:
        RuntimeError: somebody was not let in.
    """
    found = []
    for number in range(_PEOPLE):
        credentials = {"username": f"bench-{number}", "password": _PASSWORD}
        answer = httpx.post(f"{url}/login", data=credentials, timeout=60)
        if "set-cookie" not in answer.headers:
            raise RuntimeError(f"bench-{number} was not let in: {answer.status_code} {answer.text}")
        found.append(answer.headers["set-cookie"].partition(";")[0])
    return found


def _events(
    browser: Browser, head_end: HeadEnd, signed_in: tuple[Any, list[str]], meters: list[str]
) -> list[Row]:
    """Return how soon events are painted while many pages list them and many events come."""
    url, (state, cookies) = head_end.site.url, signed_in
    pid = head_end.children["cloud"].pid
    with (
        console_clients.opened(url, cookies, _LOOKERS - 1, events=True),
        console_events.told(head_end, _GATEWAY, meters),
    ):
        before, begun = cpu_s(pid), time.monotonic()
        delays_ms = console_seen.painted(browser, url, state, _EVENTS_S)
        spent = 100 * (cpu_s(pid) - before) / (time.monotonic() - begun)
    rows = console_seen.event_rows(delays_ms, _EVENTS_S * console_events.PER_SECOND)
    return [*rows, row("console.events_cpu", spent, "% of a core")]


def _listened(head_end: HeadEnd, cookies: list[str]) -> list[Row]:
    """Return what so many open pages cost by their live frames, beside none."""
    pid, url = head_end.children["cloud"].pid, head_end.site.url
    time.sleep(_SETTLE_S)
    idle, busy = [_spent(pid)], []
    for _ in range(_WINDOWS):
        with console_clients.opened(url, cookies, _LISTENERS):
            time.sleep(_SETTLE_S)
            busy.append(_spent(pid))
        time.sleep(_SETTLE_S)
        idle.append(_spent(pid))
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


def _held(head_end: HeadEnd, cookies: list[str]) -> list[Row]:
    """Return the memory of the process that holds so many open pages."""
    pid, url = head_end.children["cloud"].pid, head_end.site.url
    empty = rss_mb_of(pid)
    with console_clients.opened(url, cookies, _PAGES, places=_HELD):
        time.sleep(_SETTLE_S)
        full = rss_mb_of(pid)
    return [
        row("console.rss_mb_500", full, "MB", 700.0),
        row("console.rss_mb_0", empty, "MB"),
    ]
