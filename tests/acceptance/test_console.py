"""The console on the whole running system: what its users do in a day, in real browsers.

One small town for the file, with eight days of load profiles behind it; covers stand open.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hesper_lab import screenshots
from hesper_lab.rest import Rest
from hesper_lab.running import Running, running
from hesper_lab.site import Site, Wishes
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent))
from console_people import (
    CONFIRMED,
    ON_A_SITE,
    People,
    approve,
    eventually,
    fill_disconnect,
    go,
    open_meter,
    request_disconnect,
)

pytestmark = ON_A_SITE
PATIENCE_MS = 120_000
SILENCE_S = 3.0
ENERGY = "1.0.1.8.0.255"
TUESDAY = 1
COVER, MAGNET, MAGNETS, TAMPERED_S = "cover_opened", "magnetic_field", 2, 900


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running site with eight days behind it; somebody opens covers and brings magnets."""
    wishes = Wishes(  # ten of its homes hang on one feeder, two on the next
        capture_period_s=900, history_days=8, snapshot_s=5,
        tcp_meters=12, shared_meters=0, dial_in_meters=0, rs485_meters=0,
        pushes=False, one_gateway=True,
    )  # fmt: skip
    opened = Site.open(tmp_path_factory.mktemp("site"), wishes)
    with running(opened, lambda _: None, install=False) as processes:
        serials = [meter.serial for meter in processes.fleet.meters]
        for fault, where in ((COVER, serials[:-MAGNETS]), (MAGNET, serials[-MAGNETS:])):
            for serial in where:
                asked = {"op": "fault", "meter": serial, "fault": fault, "seconds": TAMPERED_S}
                assert processes.ask_sim(asked)["ok"]
        yield processes


@pytest.fixture(scope="module")
def chromium(site: Running) -> Iterator[Browser]:
    """The system's Chromium, closed before the site is."""
    with screenshots.browser() as opened:
        yield opened


@pytest.fixture
def people(site: Running, chromium: Browser) -> Iterator[People]:
    """Whoever takes part in one test."""
    everybody = People(site, chromium)
    yield everybody
    everybody.leave()


def test_two_people_cut_one_supply_and_both_see_it_confirmed(site, people):
    serial = site.fleet.meters[0].serial
    operator, approver = people.enter("operator"), people.enter("approver")
    operator.get_by_role("link", name="Meters", exact=True).click()
    expect(operator.locator("[data-grid-count]")).to_have_text(re.compile(r"^\d\d meters$"))
    online = operator.locator(".ag-row", has_text="online").first
    expect(online).to_be_visible(timeout=PATIENCE_MS)
    open_meter(operator, serial)
    operator.evaluate("window.untouched = true")
    before = people.movements(serial)

    request_disconnect(operator, serial)
    approver.evaluate("window.untouched = true")
    approve(approver, people.password("approver"))

    for page in (operator, approver):
        entry = page.locator(CONFIRMED)
        expect(entry).to_contain_text("confirmed by read-back", timeout=PATIENCE_MS)
        expect(entry).to_contain_text("Relay read disconnected")
        assert page.evaluate("window.untouched") is True
    expect(operator.get_by_role("button", name="Reconnect supply…")).to_be_enabled()
    assert people.movements(serial) == [*before, False]

    operator.get_by_role("button", name="Reconnect supply…").click()
    operator.get_by_label("Reason (required)").click()
    operator.get_by_role("option", name="Disconnected by mistake").click()
    operator.get_by_label("Last 4 digits of the serial number").fill(serial[-4:])
    operator.get_by_role("button", name="Start reconnect").click()
    customer = operator.locator("dt:text-is('Customer') + dd").first.inner_text()
    assert_really_reconnected(approver, customer)
    assert people.movements(serial) == [*before, False, True]
    assert people.seen.console_errors == []


def assert_really_reconnected(page: Page, customer: str) -> None:
    """Answers whether a customer's home has its supply again, by the keyboard alone."""
    page.keyboard.press("Control+k")
    page.keyboard.type(customer)
    expect(page.get_by_role("option", name=re.compile(customer)).first).to_be_visible()
    page.keyboard.press("Enter")
    reconnected = page.locator(CONFIRMED, has_text="Reconnect")
    expect(reconnected).to_contain_text("Relay read connected")
    expect(page.locator(".status-line")).to_contain_text(re.compile(r"Relay\s*connected"))


def test_a_relay_is_read_on_demand_and_does_not_move(site, people):
    serial = site.fleet.meters[1].serial
    page = people.enter("operator")
    open_meter(page, serial)
    before = people.movements(serial)
    read = page.get_by_role("button", name="Read relay now")
    expect(read).to_be_enabled()
    read.evaluate("button => { for (let i = 0; i < 10; i++) button.click(); }")
    expect(page.locator(CONFIRMED)).to_contain_text("Relay read", timeout=PATIENCE_MS)
    assert page.locator(".timeline [data-state]").count() == 1
    assert people.movements(serial) == before
    assert people.seen.console_errors == []


def test_what_a_meter_used_last_tuesday_is_one_day_chosen_on_its_page(site, people):
    serial = site.fleet.meters[3].serial
    today = datetime.now(UTC).date()
    tuesday = today - timedelta(days=(today.weekday() - TUESDAY - 1) % 7 + 1)
    used = eventually(lambda: watt_hours(site, serial, tuesday), "the profile of that day")

    page = people.enter("operator")
    open_meter(page, serial)
    page.get_by_label("Day", exact=True).fill(tuesday.isoformat())
    answer = page.locator(".load-profile .used")
    expect(answer).to_contain_text(f"{used // 1000:,}.{used % 1000:03d} kWh")
    expect(answer).to_contain_text(f"Tuesday, {tuesday.day} ")
    expect(answer).to_contain_text("00:00 to 24:00 in UTC")
    page.get_by_role("button", name="Table").click()
    expect(page.locator(".load-profile tbody tr")).to_have_count(96)

    page.goto(page.url)
    expect(answer).to_contain_text("kWh")
    assert page.url.endswith(f"/meters/{serial}?day={tuesday.isoformat()}")
    assert people.seen.console_errors == []


def watt_hours(site: Running, serial: str, day: date) -> int | None:
    """Returns what a register counted on a day (UTC), by the export; None: not all is there."""
    midnight = int(datetime.combine(day, datetime.min.time(), UTC).timestamp())
    with closing(Rest(site.site.url, site.site.account("operator"))) as rest:
        rows = [row for row in rest.export(midnight) if row.meter == serial]
    stored = {row.captured_at: row.values[ENERGY] for row in rows if ENERGY in row.values}
    whole = all(at in stored for at in range(midnight, midnight + 86_401, 900))
    return stored[midnight + 86_400] - stored[midnight] if whole else None


def test_a_storm_of_alerts_is_one_cause_that_is_seen_to_and_clears_by_itself(site, people):
    count = len(site.fleet.meters) - MAGNETS
    operator = people.enter("operator")
    cause = operator.get_by_role("link", name=f"{count} of {count} meters, tamper.cover")
    expect(cause).to_be_visible(timeout=2 * PATIENCE_MS)  # events come after eight days of profiles
    cause.click()
    expect(operator.get_by_role("heading", level=1)).to_have_text("Alerts")
    acknowledge_magnets(operator)

    cause.click()
    below = operator.get_by_role("region", name="Hidden below this alert")
    expect(below.locator("tbody tr")).to_have_count(count)
    operator.get_by_role("button", name="Acknowledge…").click()
    operator.get_by_label("Note (optional)").fill("The new contractor is in the street")
    operator.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(operator.get_by_text("acknowledged by operator: The new contractor")).to_be_visible()
    operator.get_by_role("button", name="Give to…").click()
    operator.get_by_label("Person").click()
    operator.get_by_role("option", name="approver", exact=True).click()
    operator.get_by_role("button", name="Give", exact=True).click()
    approver = people.enter("approver", "/alerts?mine=1")
    expect(approver.locator("tbody input[type=checkbox]")).to_have_count(1)

    for meter in site.fleet.meters:
        for fault in (COVER, MAGNET):
            site.ask_sim({"op": "clear", "meter": meter.serial, "fault": fault})
    go(operator, "Alerts")
    for page in (operator, approver):
        expect(page.get_by_text("No alert here")).to_be_visible()
    assert people.seen.console_errors == []


def acknowledge_magnets(page: Page) -> None:
    """Marks the alerts of magnets in the list, and acknowledges these together."""
    told = re.compile("magnet|strong", re.IGNORECASE)
    rows = page.locator("tbody tr:has(input)", has_text=told)
    expect(rows).to_have_count(MAGNETS)
    for mark in rows.get_by_role("checkbox").all():
        mark.check()
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    dialog = page.get_by_role("dialog", name=f"Acknowledge: {MAGNETS} alerts")
    dialog.get_by_label("Note").fill("Magnets on two doors")
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text(f"{MAGNETS} alerts done")).to_be_visible()
    expect(rows.filter(has_text="acknowledged by operator")).to_have_count(MAGNETS)


def test_a_server_that_stands_still_for_a_while_takes_nothing_away(site, people):
    serial = site.fleet.meters[4].serial
    page = people.enter("operator")
    open_meter(page, serial)
    fill_disconnect(page, serial)
    page.evaluate("window.untouched = true")
    os.kill(site.children["cloud"].pid, signal.SIGSTOP)
    try:
        lost(page)
    finally:
        os.kill(site.children["cloud"].pid, signal.SIGCONT)
    page.wait_for_selector("html[data-link=live]", state="attached")
    assert page.evaluate("window.untouched") is True
    tail = page.get_by_label("Last 4 digits of the serial number")
    assert tail.input_value() == serial[-4:]
    page.get_by_role("button", name="Request disconnect").click()
    expect(page.locator("[data-pending=awaiting_approval]")).to_be_visible()


def lost(page: Page) -> None:
    """Sees a page say, soon enough, that it has no data, and hold all that acts."""
    since = time.monotonic()
    page.wait_for_selector("html[data-link=lost]", state="attached")
    said = page.locator(".link-state").inner_text()
    held = page.locator("[data-acts]:not(:disabled)").count()
    assert time.monotonic() - since < SILENCE_S
    assert "no data" in said
    assert "live" not in said
    assert held == 0


def test_a_killed_head_end_is_never_called_live_and_comes_back_usable(site, people):
    serial = site.fleet.meters[2].serial
    page = people.enter("operator")
    open_meter(page, serial)
    ask = page.get_by_role("button", name="Disconnect supply…")
    expect(ask).to_be_enabled(timeout=PATIENCE_MS)
    page.evaluate("window.before = true")

    site.children["cloud"].kill()
    lost(page)

    back_at = time.time()
    site.restart("cloud")
    page.wait_for_selector("html[data-link=live]", state="attached", timeout=60_000)
    expect(page.get_by_role("heading", level=1)).to_have_text(serial)
    expect(ask).to_be_enabled(timeout=PATIENCE_MS)
    assert page.evaluate("window.before") is None, "a page of the dead server was kept"
    captured = (
        "Math.max(...[...document.querySelectorAll('[data-captured]')].map(e => e.dataset.age))"
    )
    page.wait_for_function(f"{captured} > {back_at * 1000}")
    ask.click()
    expect(page.get_by_role("dialog", name=f"Disconnect supply to {serial}?")).to_be_visible()
    page.get_by_role("button", name="Keep connected").click()
