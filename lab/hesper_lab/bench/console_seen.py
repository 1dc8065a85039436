"""What a person in front of the console waits for, seen by Chromium."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

from hesper_lab import screenshots
from hesper_lab.bench.rows import Row, row

SIZE: Final = ViewportSize(width=1440, height=900)
_PAINTS: Final = 7
_ROUNDS: Final = 6
_SETTLED_MS: Final = 3000
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
_OCTETS: Final = """['navigation', 'resource']
  .flatMap((kind) => performance.getEntriesByType(kind))
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""
_PAINTED: Final = """() => {
  window.paintedAfter = [];
  window.heardAfter = [];
  window.drawnAfter = [];
  const events = window.hesperEvents, take = events.take;
  events.take = (frame) => {
    const now = performance.timeOrigin + performance.now();
    window.heardAfter.push(...frame.events.map((event) => now - Date.parse(event.stored_at)));
    take(frame);
  };
  const painted = (stored) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      const now = performance.timeOrigin + performance.now();
      window.paintedAfter.push(...stored.map((at) => now - at));
    };
    channel.port2.postMessage(0);
  });
  new MutationObserver((changes) => {
    const rows = changes.flatMap((change) => [...change.addedNodes])
      .filter((node) => node.matches?.("tr[data-event]"));
    const stored = rows.map((row) => Number(row.querySelector("[data-age]").dataset.age));
    if (!stored.length) return;
    const now = performance.timeOrigin + performance.now();
    window.drawnAfter.push(...stored.map((at) => now - at));
    painted(stored);
  }).observe(document.querySelector("[data-follow=events]"), { childList: true, subtree: true });
}"""


class Seen(NamedTuple):
    """One load of the first page: painted first, usable, and what crossed the wire for it."""

    painted_ms: float
    usable_ms: float
    octets: float


def loads(browser: Browser, url: str, state: Any) -> list[Row]:
    """Return how long the first page takes, without and with what a browser keeps."""
    cold = [_loaded_cold(browser, url, state) for _ in range(_PAINTS)]
    with _page(browser, state) as page:
        _loaded(page, url)
        warm = [_loaded(page, url) for _ in range(_PAINTS)]
    return [
        row("console.first_paint_cold_ms", _median(cold, "painted_ms"), "ms", 800.0),
        row("console.first_paint_warm_ms", _median(warm, "painted_ms"), "ms", 450.0),
        row("console.usable_cold_ms", _median(cold, "usable_ms"), "ms"),
        row("console.usable_warm_ms", _median(warm, "usable_ms"), "ms"),
        row("console.cold_kb", _median(cold, "octets") / 1000, "kB", 880.0),
        row("console.warm_kb", _median(warm, "octets") / 1000, "kB", 35.0),
    ]


def moves(browser: Browser, url: str, state: Any) -> list[Row]:
    """Return how long it takes to go from page to page, and what a list of meters answers."""
    with _page(browser, state) as page:
        _loaded(page, url)
        page.wait_for_timeout(_SETTLED_MS)
        steps = [float(page.evaluate(_GO, place)) for _ in range(_ROUNDS) for place in _PLACES]
        grid = [float(page.evaluate(_FETCH, address)) for address in _questions()]
    return [
        row("console.navigation_p95_ms", percentile(steps, 95), "ms", 300.0),
        row("console.grid_p95_ms", percentile(grid, 95), "ms", 200.0),
    ]


class Arrivals(NamedTuple):
    """How long after they were stored events came to an open page, stood there, were painted; ms.

    ``since`` is the epoch second from which it was watched.
    """

    since: float
    heard_ms: list[float]
    drawn_ms: list[float]
    painted_ms: list[float]


def arrivals(
    browser: Browser, url: str, state: Any, seconds: float, beside: AbstractContextManager[object]
) -> Arrivals:
    """Return what becomes of events on an open page; ``beside`` lasts as long as it is watched."""
    with _page(browser, state) as page:
        page.goto(f"{url}/events")
        page.wait_for_selector("tr[data-event]", timeout=screenshots.PATIENCE_MS)
        page.wait_for_timeout(_SETTLED_MS)
        with beside:
            since = time.time()
            page.evaluate(_PAINTED)
            page.wait_for_timeout(1000 * seconds)
            found = page.evaluate("[window.heardAfter, window.drawnAfter, window.paintedAfter]")
        return Arrivals(since, *found)


@contextmanager
def _page(browser: Browser, state: Any) -> Iterator[Page]:
    context: BrowserContext = browser.new_context(viewport=SIZE, storage_state=state)
    context.set_default_timeout(screenshots.PATIENCE_MS)
    context.add_init_script(_WHEN_USABLE)
    try:
        yield context.new_page()
    finally:
        context.close()


def _loaded_cold(browser: Browser, url: str, state: Any) -> Seen:
    with _page(browser, state) as page:
        return _loaded(page, url)


def _loaded(page: Page, url: str) -> Seen:
    """Load the first page."""
    page.goto(url)
    page.wait_for_function("window.usableAt > 0", timeout=screenshots.PATIENCE_MS)
    first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    return Seen(*(float(page.evaluate(each)) for each in (first, "window.usableAt", _OCTETS)))


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


def _median(found: Sequence[Seen], name: str) -> float:
    return float(statistics.median(getattr(each, name) for each in found))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which so many percent are."""
    return statistics.quantiles(values, n=100)[percent - 1]
