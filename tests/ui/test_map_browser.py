"""An open map in the system's Chromium: it loads again by itself, and nothing on it moves."""

from datetime import UTC, datetime, timedelta

import pytest
from console_double.server import Server
from hesper_lab import screenshots
from playwright.sync_api import Page, Route, WebSocket, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]
ASKED = "**/console/map?*"


def told(*meters: str) -> dict[str, object]:
    """Returns what the map is answered: these meters in view."""
    listed = [{"id": each, "mark": "normal", "word": "online", "note": ""} for each in meters]
    return {"clusters": [], "gateways": [], "listed": listed, "total": len(meters)}


def test_an_open_map_loads_again_and_keeps_view_feeder_and_focus(
    page: Page, server: Server
) -> None:
    answers = [told("HES1", "HES2")]
    page.route(ASKED, lambda route: route.fulfill(json=answers[-1]))
    page.goto(f"{server.base}/map")
    expect(page.locator("[data-map-count]")).to_have_text("2 meters in view")
    with page.expect_response(ASKED) as chosen:
        page.locator("[data-map-feeder]").select_option("f-000")
    page.get_by_role("link", name="HES2").focus()
    with page.expect_request(lambda each: "feeder=f-000" in each.url) as again:
        answers.append(told("HES3", "HES1", "HES2"))
    expect(page.locator("[data-map-count]")).to_have_text("3 meters in view")
    expect(page.get_by_role("link", name="HES2")).to_be_focused()
    expect(page.locator("[data-map-feeder]")).to_have_value("f-000")
    assert again.value.url == chosen.value.url


def second(page: Page, live: WebSocket) -> None:
    """Lets a second go by in which the server said something."""
    with live.expect_event("framereceived"):
        pass
    page.clock.run_for(1000)


def lose(page: Page) -> None:
    """Lets the page hear nothing for as long as a server that is away says nothing."""
    page.clock.run_for(3000)


def test_a_map_asks_at_once_after_a_loss_and_never_twice_at_a_time(
    page: Page, server: Server
) -> None:
    sockets: list[WebSocket] = []
    held: list[Route] = []
    page.on("websocket", lambda each: sockets.append(each))
    page.clock.install()
    page.goto(f"{server.base}/map")
    expect(page.locator("[data-map-count]")).to_have_text("60 meters in view")
    live = next(each for each in sockets if each.url.endswith("/api/v1/live"))
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    second(page, live)
    second(page, live)
    page.route(ASKED, lambda each: held.append(each))  # and never answered
    lose(page)
    with page.expect_request(ASKED):
        second(page, live)
    second(page, live)
    second(page, live)
    assert len(held) == 1
    lose(page)
    with page.expect_event("requestfailed"), page.expect_request(ASKED):
        second(page, live)
