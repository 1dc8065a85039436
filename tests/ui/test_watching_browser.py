"""Events, rules and outages in the system's Chromium: scrolling, trying, both themes."""

from datetime import UTC, datetime, timedelta

import pytest
from console_double.axe import CONTRAST, serious
from console_double.server import Server
from hesper_lab import screenshots
from playwright.sync_api import Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]


@pytest.fixture
def role() -> str:
    return "approver"


def test_the_stream_waits_while_one_has_scrolled_down(page: Page, server: Server) -> None:
    page.goto(f"{server.base}/events")
    stream = page.get_by_role("region", name="Events").first
    expect(stream).to_be_visible()
    page.set_viewport_size({"width": 900, "height": 420})
    stream.evaluate("stream => { stream.style.maxHeight = '160px'; stream.scrollTop = 120; }")
    expect(page.get_by_text("Paused while you read; nothing new.")).to_be_visible(timeout=30_000)
    stream.evaluate("stream => { stream.scrollTop = 0; }")
    expect(page.get_by_text("Paused while you read")).to_have_count(0, timeout=30_000)


def test_from_an_event_to_a_rule_that_was_tried_and_is_on(page: Page, server: Server) -> None:
    page.goto(f"{server.base}/events?group=power")
    page.get_by_role("link", name="Make a rule from power.down").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New rule")
    page.get_by_label("Name (small letters, digits, dashes)").fill("power-down")
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.get_by_text("2 alerts at 1 of 60 meters or places")).to_be_visible()
    expect(page.locator(".nicegui-echart svg")).to_be_visible()
    page.get_by_role("button", name="Save as the next version").click()
    expect(page.get_by_role("button", name="Switch on…")).to_be_visible()
    page.get_by_role("button", name="Switch on…").click()
    page.get_by_role("button", name="Switch", exact=True).click()
    expect(page.get_by_role("button", name="Switch off…")).to_be_visible()


BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize(
    "path", ["/events", "/rules", "/rules/new", "/rules/voltage", "/outages", "/outages/7"]
)
def test_no_serious_finding_of_axe(page: Page, server: Server, path: str) -> None:
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(f"{server.base}{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".bone")).to_have_count(0)
    assert serious(page) == []
    light = page.evaluate(BACKGROUND)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => {BACKGROUND} !== light", arg=light)
    assert serious(page, CONTRAST) == []


def told(name: str, **said: str) -> dict[str, object]:
    """Returns a frame of the live connection with one event that happened just now."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = {
        "id": name, "meter": "HES1", "gateway": "gw-1", "area": None, "code": "power.down",
        "severity": "warning", "group": "power", "occurred_at": now, "stored_at": now, "text": "",
    }  # fmt: skip
    return {"events": [event | said], "missed": False}


def test_what_is_committed_stands_on_top_at_once(page: Page, server: Server) -> None:
    page.goto(f"{server.base}/events?severity=warning")
    rows = page.locator(".stream tbody tr")
    expect(rows.first).to_be_visible()
    drawn = rows.count()
    take = "frame => window.hesperEvents.take(frame)"
    text = "<img src=x onerror=window.pwned=1>"
    page.evaluate(take, told("one", text=text))
    page.evaluate(take, told("one", text=text))  # nothing twice
    page.evaluate(take, told("other", severity="info"))  # not what the address asks for
    expect(rows).to_have_count(drawn + 1)
    expect(rows.first.locator(".told span").first).to_have_text("Power lost")
    expect(rows.first).to_contain_text(text)
    expect(rows.first.get_by_role("link", name="HES1")).to_have_attribute("href", "/meters/HES1")
    page.get_by_role("button", name="Hold").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    page.evaluate(take, told("while one reads"))
    expect(rows).to_have_count(drawn + 1)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Hold")).to_be_visible()
    page.evaluate(take, told("after"))
    expect(rows).to_have_count(drawn + 3)  # with what waited
    assert page.evaluate("window.pwned") is None
    assert not serious(page)


def test_what_is_committed_stands_where_its_day_is_asked_for(page: Page, server: Server) -> None:
    today = datetime.now(UTC).date()
    for days, shown in ((f"from={today}", 1), ("to=2020-01-01", 0)):
        page.goto(f"{server.base}/events?{days}")
        expect(page.locator(".stream tbody tr").first).to_be_visible()
        page.evaluate("frame => window.hesperEvents.take(frame)", told("now"))
        expect(page.locator("[data-event=now]")).to_have_count(shown)


RUSH = """count => {
  const at = Math.max(Date.now(), window.rushedUntil || 0);  // never before what a rush brought
  window.rushedUntil = at + count;
  const events = [...Array(count).keys()].map((number) => {
    const now = new Date(at + number).toISOString();
    return {
      id: `rush-${at}-${number}`, meter: "HES1", gateway: "gw-1", area: null, code: "power.down",
      severity: "warning", group: "power", occurred_at: now, stored_at: now, text: `${number}`,
    };
  });
  window.hesperEvents.take({ events: events.reverse(), missed: false });
}"""
STANDING = """() => [...document.querySelectorAll(".stream tbody tr[data-event]")]
  .filter((row) => row.checkVisibility())
  .map((row) => Number(row.querySelector(".told .meta").textContent.trim().split(" ")[0]))"""
RUSH_DRAWN = f"""async (count) => {{
  ({RUSH})(count);
  await new Promise((drawn) => requestAnimationFrame(drawn));
  return ({STANDING})();
}}"""


def test_in_a_rush_a_screenful_stands_and_the_others_when_it_is_over(
    page: Page, server: Server
) -> None:
    page.goto(f"{server.base}/events?severity=warning")
    expect(page.locator(".stream tbody tr").first).to_be_visible()
    assert page.evaluate(RUSH_DRAWN, 150) == list(range(149, 109, -1))
    page.wait_for_function(f"({STANDING})().length >= 150")
    assert page.evaluate(STANDING)[:150] == list(range(149, -1, -1))


def test_who_begins_to_read_in_a_rush_finds_all_rows_and_none_that_came_later(
    page: Page, server: Server
) -> None:
    page.goto(f"{server.base}/events?severity=warning")
    expect(page.locator(".stream tbody tr").first).to_be_visible()
    assert len(page.evaluate(RUSH_DRAWN, 150)) == 40
    page.evaluate("() => { document.querySelector('.stream').scrollTop = 120; }")
    standing = page.evaluate(RUSH_DRAWN, 60)
    assert standing[:150] == list(range(149, -1, -1))


MADE_ANEW = """() => {
  const stream = document.querySelector(".stream"), anew = stream.cloneNode(true);
  anew.querySelector("tbody").replaceChildren();
  stream.replaceWith(anew);
}"""


def test_a_list_whose_elements_are_made_anew_keeps_what_came(page: Page, server: Server) -> None:
    page.goto(f"{server.base}/events?severity=warning")
    expect(page.locator(".stream tbody tr").first).to_be_visible()
    assert len(page.evaluate(RUSH_DRAWN, 20)) >= 20
    page.evaluate(MADE_ANEW)
    standing = page.evaluate(RUSH_DRAWN, 3)
    assert standing[:23] == [2, 1, 0, *range(19, -1, -1)]


AS_IF_LOST = """
    const parse = JSON.parse;
    JSON.parse = (...asked) => {
        const frame = parse(...asked);
        if (window.brokerLostSince && frame?.figures)
            frame.figures.broker_lost_since = window.brokerLostSince;
        return frame;
    };"""


def test_every_page_says_that_the_broker_is_lost_and_since_when(page: Page, server: Server) -> None:
    page.add_init_script(AS_IF_LOST)
    page.goto(f"{server.base}/gateways")
    screenshots.settle(page)
    bar = page.locator(".unheard-bar")
    expect(bar).to_be_hidden()
    page.evaluate("window.brokerLostSince = new Date(Date.now() - 310_000).toISOString()")
    expect(bar).to_contain_text("The connection to the broker was lost")
    expect(bar).to_contain_text("5 min ago")
    page.evaluate("window.brokerLostSince = null")
    expect(bar).to_be_hidden()


COUNTED = """() => {
  window.askedAgain = 0;
  document.querySelector("[data-watch=events]")
    .addEventListener("changed", () => { window.askedAgain += 1; });
}"""


def test_a_list_that_stands_is_not_asked_for_again_in_a_rush(page: Page, server: Server) -> None:
    page.clock.install()  # also for all later pages here: this test is the last
    page.goto(f"{server.base}/events?severity=warning")
    expect(page.locator(".stream tbody tr").first).to_be_visible()
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))  # what it asked by itself is over
    page.evaluate(COUNTED)
    for _ in range(2):  # at once, and as soon as that may be
        page.clock.run_for(100)
        page.evaluate("() => window.hesperEvents.take({ events: [], missed: false })")
    page.clock.run_for(4500)
    asked = page.evaluate("window.askedAgain")
    page.evaluate(RUSH, 50)
    page.clock.run_for(900)
    assert page.evaluate("window.askedAgain") == asked
    page.clock.run_for(7000)
    assert page.evaluate("window.askedAgain") == asked + 1
