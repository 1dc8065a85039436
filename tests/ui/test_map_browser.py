"""An open map in the system's Chromium: it loads again by itself, and nothing on it moves."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from console_double.server import Server
from hesper_lab import screenshots
from hesper_ui.services import Spot
from hesper_ui.views import mapping
from playwright.sync_api import Page, Route, WebSocketRoute, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]
ASKED = "**/console/map?*"
STAYS = "Object.defineProperty(window.socket, 'connected', { get: () => true, set: () => {} })"
"""The page's other connection, whose clock is the page's, too."""


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


def test_a_gateway_on_the_map_is_told_as_in_its_list(page: Page, server: Server) -> None:
    """One that was never heard is not offline, and one that was online hours ago is not online."""
    now = datetime.now(UTC)
    rows = [
        Spot("gw-here", "online", 52.4, 13.3, now),
        Spot("gw-late", "online", 52.5, 13.3, now - timedelta(hours=3)),
        Spot("gw-new", "unknown", 52.4, 13.4, None),
        Spot("gw-gone", "offline", 52.5, 13.4, now),
    ]
    answer = told() | {"gateways": [mapping.spot(each) for each in rows]}
    page.route(ASKED, lambda route: route.fulfill(json=answer))
    page.goto(f"{server.base}/map")
    expect(page.locator(".map-square")).to_have_count(4)
    assert page.locator(".map-square title").all_text_contents() == [
        "gw-here · online",
        "gw-late · online, stale",
        "gw-new · not heard yet",
        "gw-gone · offline",
    ]
    looks = page.locator(".map-square").evaluate_all("all => all.map(each => each.classList[1])")
    assert looks == ["map-normal", "map-unknown", "map-unknown", "map-offline"]


class Voice:
    """Says on a page's live socket, in the server's place, what a test wants it to hear."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._sockets: list[WebSocketRoute] = []
        self._now = datetime.now(UTC)
        page.route_web_socket("**/api/v1/live", lambda each: self._sockets.append(each))

    def speak(self) -> None:
        """Lets a second go by in which the server said something."""
        while not self._sockets:
            self._page.wait_for_timeout(10)
        self._now += timedelta(seconds=1)
        self._sockets[-1].send(json.dumps({"server_time": self._now.isoformat()}))
        expect(self._page.locator("html")).to_have_attribute("data-link", "live")
        self._page.clock.run_for(1000)

    def keep_silent(self) -> None:
        """Lets as much time go by as a page needs to notice that nothing is said."""
        self._page.clock.run_for(3000)
        expect(self._page.locator("html")).to_have_attribute("data-link", "lost")


def test_a_map_asks_at_once_after_a_loss_and_never_twice_at_a_time(
    page: Page, server: Server
) -> None:
    voice, held = Voice(page), list[Route]()
    page.clock.install()
    page.goto(f"{server.base}/map")
    expect(page.locator("[data-map-count]")).to_have_text("60 meters in view")
    page.evaluate(STAYS)
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    voice.speak()
    page.route(ASKED, lambda each: held.append(each))  # and never answered
    voice.keep_silent()
    with page.expect_request(ASKED):
        voice.speak()
    voice.speak()
    voice.speak()
    assert len(held) == 1
    voice.keep_silent()
    with page.expect_event("requestfailed"), page.expect_request(ASKED):
        voice.speak()
