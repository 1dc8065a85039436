"""The console on the whole running system: two people at two browsers cut one supply."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
from hesper_lab import screenshots, system
from hesper_lab.running import Running, running
from hesper_lab.screenshots import Seen, settle, sign_in, watch
from hesper_lab.site import PACKAGES, Site, Wishes
from hesper_sim import ledger
from playwright.sync_api import Browser, Page, expect

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
    pytest.mark.skipif(
        system.find("mosquitto", PACKAGES / "mosquitto") is None,
        reason="no mosquitto on this machine",
    ),
    pytest.mark.timeout(180),
]
PATIENCE_MS = 30_000
SILENCE_S = 3.0
CONFIRMED = ".timeline [data-state=confirmed]"
Enter = Callable[[str], Page]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running site of its own, small and quick."""
    wishes = Wishes(capture_period_s=5, history_days=0, snapshot_s=5, tcp_meters=4)
    opened = Site.open(tmp_path_factory.mktemp("site"), wishes)
    with running(opened, lambda _: None, install=False) as processes:
        yield processes


@pytest.fixture(scope="module")
def chromium(site: Running) -> Iterator[Browser]:
    """The system's Chromium, closed before the site is."""
    with screenshots.browser() as opened:
        yield opened


@pytest.fixture
def seen() -> Seen:
    """What the pages of one test asked for and complained of."""
    return Seen()


@pytest.fixture
def enter(site: Running, chromium: Browser, seen: Seen) -> Iterator[Enter]:
    """Signs a person in, in a browser context of their own."""
    contexts = []

    def make(username: str) -> Page:
        contexts.append(chromium.new_context(viewport={"width": 1440, "height": 900}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        watch(page, site.site.url, seen)
        sign_in(page, site.site.url, username, site.site.account(username).password)
        settle(page)
        return page

    yield make
    for context in contexts:
        context.close()


def open_meter(page: Page, serial: str) -> None:
    """Finds a meter in the list, as a person would, and opens it."""
    page.get_by_role("link", name="Meters", exact=True).click()
    page.get_by_label("Search meters").fill(serial)
    expect(page.locator("[data-grid-count]")).to_have_text("1 meter")
    page.get_by_role("link", name=serial).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(serial)


def request_disconnect(page: Page, serial: str) -> None:
    """Fills in the dialog; ten rapid clicks on its button."""
    ask = page.get_by_role("button", name="Disconnect supply…")
    expect(ask).to_be_enabled(timeout=PATIENCE_MS)
    ask.click()
    page.get_by_label("Reason (required)").click()
    page.get_by_role("option", name="Customer moved out").click()
    page.get_by_label("Last 4 digits of the serial number").fill(serial[-4:])
    request = page.get_by_role("button", name="Request disconnect")
    expect(request).to_be_enabled()
    request.evaluate("button => { for (let i = 0; i < 10; i++) button.click(); }")
    expect(page.locator("[data-pending=awaiting_approval]")).to_be_visible()


def approve(page: Page, password: str) -> None:
    """Approves the one request that waits."""
    navigation = page.get_by_role("navigation", name="Main")
    navigation.get_by_role("link", name="Commands").click()
    page.get_by_role("button", name="Approve…").click()
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Approve disconnect").click()


def movements(site: Running, serial: str) -> list[bool]:
    """Every movement of one relay, by the simulator's own journal; true for closed."""
    relays = ledger.records(site.site.sim, "relay")
    return [each["output"] for each in relays if each["meter"] == serial]


def test_two_people_cut_one_supply_and_both_see_it_confirmed(site, enter, seen):
    serial = site.fleet.meters[0].serial
    operator, approver = enter("operator"), enter("approver")
    operator.get_by_role("link", name="Meters", exact=True).click()
    expect(operator.locator("[data-grid-count]")).to_have_text(re.compile(r"^\d\d meters$"))
    online = operator.locator(".ag-row", has_text="online").first
    expect(online).to_be_visible(timeout=PATIENCE_MS)
    open_meter(operator, serial)
    operator.evaluate("window.untouched = true")
    before = movements(site, serial)

    request_disconnect(operator, serial)
    approver.evaluate("window.untouched = true")
    approve(approver, site.site.account("approver").password)

    for page in (operator, approver):
        entry = page.locator(CONFIRMED)
        expect(entry).to_contain_text("confirmed by read-back", timeout=PATIENCE_MS)
        expect(entry).to_contain_text("Relay read disconnected")
        assert page.evaluate("window.untouched") is True
    expect(operator.get_by_role("button", name="Reconnect supply…")).to_be_enabled()
    assert movements(site, serial) == [*before, False]
    assert seen.external_requests == []
    assert seen.console_errors == []


def test_a_relay_is_read_on_demand_and_does_not_move(site, enter, seen):
    serial = site.fleet.meters[1].serial
    page = enter("operator")
    open_meter(page, serial)
    before = movements(site, serial)
    read = page.get_by_role("button", name="Read relay now")
    expect(read).to_be_enabled()
    read.evaluate("button => { for (let i = 0; i < 10; i++) button.click(); }")
    expect(page.locator(CONFIRMED)).to_contain_text("Relay read", timeout=PATIENCE_MS)
    assert page.locator(".timeline [data-state]").count() == 1
    assert movements(site, serial) == before
    assert seen.console_errors == []


def test_a_killed_head_end_is_never_called_live_and_comes_back_usable(site, enter):
    serial = site.fleet.meters[2].serial
    page = enter("operator")
    open_meter(page, serial)
    ask = page.get_by_role("button", name="Disconnect supply…")
    expect(ask).to_be_enabled(timeout=PATIENCE_MS)
    page.evaluate("window.before = true")

    site.children["cloud"].kill()
    killed_at = time.monotonic()
    page.wait_for_selector("html[data-link=lost]", state="attached")
    said = page.locator(".link-state").inner_text()
    held = page.locator("[data-acts]:not(:disabled)").count()
    assert time.monotonic() - killed_at < SILENCE_S
    assert "no data" in said
    assert "live" not in said
    assert held == 0

    site.restart("cloud")
    page.wait_for_selector("html[data-link=live]", state="attached", timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_have_text(serial)
    expect(ask).to_be_enabled(timeout=PATIENCE_MS)
    assert page.evaluate("window.before") is None, "a page of the dead server was kept"
    ask.click()
    expect(page.get_by_role("dialog", name=f"Disconnect supply to {serial}?")).to_be_visible()
    page.get_by_role("button", name="Keep connected").click()
