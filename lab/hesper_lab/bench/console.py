"""The console on a fleet of 100 000 meters: Chromium for what people wait for, simulated clients
for what the server bears.

The head end is the whole of ``hesper-cloud run``. The meters are written into its registry; nothing
is read from them, so that what is measured is the console and its services. A page counts as usable
when its heading and its content are there, which is later than the browser's first paint.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from hesper_cloud import provision
from hesper_cloud.db.registry import Meter
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import insert
from websockets.asyncio.client import connect

from hesper_lab import screenshots
from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s, rss_mb_of

_METERS: Final = 100_000
_PAINTS: Final = 7
_ROUNDS: Final = 6
_LISTENERS: Final = 300
_PAGES: Final = 500
_LISTEN_S: Final = 10.0
_AT_ONCE: Final = 5_000
_PASSWORD: Final = "looking-for-a-benchmark"  # noqa: S105 - an account that lives for a minute
_PLACES: Final = ("/meters", "/gateways", "/alerts", "/gaps", "/commands", "/events", "/")
_WHEN_USABLE: Final = """
  new MutationObserver((_, watcher) => {
    if (!document.querySelector('.page h1') || document.querySelector('.bone')) return;
    window.usableAt = performance.now();
    watcher.disconnect();
  }).observe(document, { childList: true, subtree: true });"""
_GO: Final = """async (address) => {
  const begun = performance.now(), before = document.querySelector('.page h1').textContent;
  document.querySelector(`.frame-nav a[href="${address}"]`).click();
  await new Promise((done) => {
    const look = () => {
      const title = document.querySelector('.page h1');
      const is_there = title && title.textContent !== before && !document.querySelector('.bone');
      if (!is_there) return;
      watcher.disconnect();
      requestAnimationFrame(() => done());
    };
    const watcher = new MutationObserver(look);
    watcher.observe(document, { childList: true, subtree: true, characterData: true });
    look();
  });
  return performance.now() - begun;
}"""
_FETCH: Final = """async (address) => {
  const begun = performance.now();
  const answer = await fetch(address, { cache: 'no-store' });
  await answer.json();
  return performance.now() - begun;
}"""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench console", description=__doc__)
    parser.add_argument("--meters", type=int, default=_METERS, help="how many there are")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Measure it all on one head end."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        running(Path(name) / "site", "duckdb", ["gw-0"]) as head_end,
    ):
        _fill(head_end, asked.meters)
        with screenshots.browser() as browser:
            rows = _seen(browser, head_end.site.url)
        rows += asyncio.run(_listened(head_end))
        return rows + _held(head_end)


def _fill(head_end: HeadEnd, meters: int) -> None:
    """Write meters and an account into the databases of a head end that runs."""
    databases = Databases.open(Settings.load(head_end.site.cloud / "cloud.toml"))
    provision.add_user(databases.authority, "bench", "operator", _PASSWORD)
    now = datetime.now(UTC)
    with databases.registry.begin() as connection:
        for start in range(0, meters, _AT_ONCE):
            some = [_meter(number, now) for number in range(start, min(start + _AT_ONCE, meters))]
            connection.execute(insert(Meter), some)
    databases.close()


def _meter(number: int, now: datetime) -> dict[str, Any]:
    return {
        "id": f"HES{10_000_000 + number * 37}",
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


def _seen(browser: Browser, url: str) -> list[Row]:
    """Return what a person waits for."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(_WHEN_USABLE)
    page = context.new_page()
    screenshots.sign_in(page, url, "bench", _PASSWORD)
    screenshots.settle(page)
    state: Any = context.storage_state()
    cold = [_painted_cold(browser, url, state) for _ in range(_PAINTS)]
    warm = [_painted(page, url) for _ in range(_PAINTS)]
    moves = [float(page.evaluate(_GO, place)) for _ in range(_ROUNDS) for place in _PLACES]
    grid = [float(page.evaluate(_FETCH, address)) for address in _questions()]
    context.close()
    return [
        row("console.first_paint_cold_ms", statistics.median(p for p, _ in cold), "ms", 800.0),
        row("console.first_paint_warm_ms", statistics.median(p for p, _ in warm), "ms", 450.0),
        row("console.usable_cold_ms", statistics.median(u for _, u in cold), "ms"),
        row("console.usable_warm_ms", statistics.median(u for _, u in warm), "ms"),
        row("console.navigation_p95_ms", _p95(moves), "ms", 300.0),
        row("console.grid_p95_ms", _p95(grid), "ms", 200.0),
    ]


def _painted_cold(browser: Browser, url: str, state: Any) -> tuple[float, float]:
    context: BrowserContext = browser.new_context(
        viewport={"width": 1440, "height": 900}, storage_state=state
    )
    context.add_init_script(_WHEN_USABLE)
    try:
        return _painted(context.new_page(), url)
    finally:
        context.close()


def _painted(page: Page, url: str) -> tuple[float, float]:
    """Load the first page; return when it was painted first, and when it was usable."""
    page.goto(url)
    page.wait_for_function("window.usableAt > 0", timeout=screenshots.PATIENCE_MS)
    first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    return float(page.evaluate(first)), float(page.evaluate("window.usableAt"))


def _questions() -> list[str]:
    """Return what a list of meters is asked: sorted, searched, jumped in, filtered."""
    asked = [
        f"sort={column}&descending={down}&offset={offset}"
        for column in ("id", "customer", "address", "last_contact", "relay")
        for down in ("true", "false")
        for offset in (0, 50_000, 99_900)
    ]
    asked += [f"q=Customer {number}" for number in (1, 77, 123, 4567, 99999)]
    asked += [f"view={view}" for view in ("silent", "silent-day", "disconnected", "old-firmware")]
    return [f"/console/meters?limit=100&{each}" for each in asked]


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


async def _listened(head_end: HeadEnd) -> list[Row]:
    """Return what so many open pages cost by their live frames, beside none."""
    pid, url = head_end.children["cloud"].pid, head_end.site.url
    cookie = await _cookie(url)
    idle = await _spent(pid)
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(
                connect(
                    f"{url.replace('http', 'ws', 1)}/api/v1/live",
                    additional_headers={"Cookie": cookie},
                    max_size=None,
                )
            )
            for _ in range(_LISTENERS)
        ]
        reading = [asyncio.create_task(_drain(socket)) for socket in sockets]
        await asyncio.sleep(2.0)
        busy = await _spent(pid)
        for task in reading:
            task.cancel()
    return [row("console.cpu_300", max(0.0, busy - idle), "% of a core", 8.0)]


async def _drain(socket: Any) -> None:
    async for _ in socket:
        pass


async def _spent(pid: int) -> float:
    """Return the share of a core that a process takes, in percent."""
    before, begun = cpu_s(pid), time.monotonic()
    await asyncio.sleep(_LISTEN_S)
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - begun)


async def _cookie(url: str) -> str:
    credentials = {"username": "bench", "password": _PASSWORD}
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        answer = await client.post("/login", data=credentials)
    return answer.headers["set-cookie"].partition(";")[0]


def _held(head_end: HeadEnd) -> list[Row]:
    """Return the memory of the process that holds so many pages, each just built."""
    url, cookie = head_end.site.url, asyncio.run(_cookie(head_end.site.url))
    with (
        httpx.Client(base_url=url, headers={"Cookie": cookie}, timeout=120) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda _: client.get("/gateways").status_code, range(_PAGES)))
    if answers.count(200) != _PAGES:
        raise ValueError(f"{_PAGES - answers.count(200)} of {_PAGES} pages were not built")
    memory = rss_mb_of(head_end.children["cloud"].pid)
    return [row("console.rss_mb_500", memory, "MB", 700.0)]
