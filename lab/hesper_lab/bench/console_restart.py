"""A head end that dies and is started at once, seen by a page that was open all the time."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

from playwright.sync_api import Browser

from hesper_lab import screenshots
from hesper_lab.bench import console_seen
from hesper_lab.bench.head_end import HeadEnd
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s

_TIMES: Final = 3
_PLACE: Final = "/alerts"
_WHEN_BACK: Final = """
  new MutationObserver((_, watcher) => {
    if (document.documentElement.dataset.link !== 'live') return;
    if (!document.querySelector('.page h1') || document.querySelector('.bone')) return;
    window.backAt = Date.now();
    watcher.disconnect();
  }).observe(document, { attributes: true, childList: true, subtree: true });"""


def measure(browser: Browser, head_end: HeadEnd, state: Any) -> list[Row]:
    """Return how long after its start a page is live and usable again, and what that costs."""
    context = browser.new_context(viewport=console_seen.SIZE, storage_state=state)
    context.set_default_timeout(screenshots.PATIENCE_MS)
    context.add_init_script(_WHEN_BACK)
    page = context.new_page()
    page.goto(head_end.site.url + _PLACE)
    cloud = head_end.children["cloud"]
    took_ms, spent_ms = [], []
    for _ in range(_TIMES):
        screenshots.settle(page)
        cloud.kill()
        begun_ms = 1000 * time.time()
        cloud.start()
        page.wait_for_function(f"window.backAt > {begun_ms}", timeout=screenshots.PATIENCE_MS)
        spent_ms.append(1000 * cpu_s(cloud.pid))
        took_ms.append(float(page.evaluate("window.backAt")) - begun_ms)
    context.close()
    return [
        row("console.restart_ms", statistics.median(took_ms), "ms", 3000.0),
        row("console.restart_cpu_ms", statistics.median(spent_ms), "ms"),
    ]
