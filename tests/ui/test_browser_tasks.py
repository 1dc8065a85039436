"""Whole tasks in the system's Chromium, every page under axe, and texts that try to be markup."""

import re
from collections.abc import Iterator

import pytest
from console_double.axe import CONTRAST, serious
from console_double.fleet import SCRIPT
from console_double.server import Server
from console_double.services import PASSWORD
from hesper_lab import screenshots
from hesper_lab.screenshots import settle, sign_in, watch
from hesper_ui.places import declared
from playwright.sync_api import Browser, Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]
METER = "HES12643021"
UNFIT = "HES12643280"
FREE = "HES12642984"
PLACES = [place.path for place in declared() if "{" not in place.path]
BATCH = "/batches/…"
KEYS = """keys => keys.forEach(key => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true })))"""
"""Presses keys one right after the other: the first counts for a moment, however busy it is."""
GATEWAY, PLAN = "/gateways/gw-tcp", "/plans/schedules/calm"
METERS = (f"/meters/{METER}", f"/meters/{FREE}", f"/quality/{METER}")
PAGES = (*PLACES, *METERS, "/alerts/4", BATCH, GATEWAY, PLAN)
DIALOG = ".q-dialog"


def found(page: Page, theme: str, options: dict[str, object], part: str = "") -> list[str]:
    """Returns what axe finds to be serious in one theme, on a page or in a part of it."""
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    return [f"{theme} {each}" for each in serious(page, options, part)]


def found_in_dialogs(page: Page) -> list[str]:
    """Opens every dialog that a page's buttons lead to; returns what axe finds in them."""
    openers = ".page button:enabled:not([data-view-save]):not([hidden] *)"
    buttons = page.locator(openers, has_text="…")
    faults: list[str] = []
    for name in dict.fromkeys(buttons.all_text_contents()):
        buttons.filter(has_text=name).first.evaluate("button => button.click()")
        expect(page.locator(f"{DIALOG} h2"), name).to_be_visible()
        faults += found(page, "light", {}, DIALOG) + found(page, "dark", CONTRAST, DIALOG)
        page.keyboard.press("Escape")
        expect(page.locator(DIALOG)).to_have_count(0)
    return faults


def ask(page: Page, base: str) -> str:
    """Asks for a disconnect, breaks a glass and freezes a batch; returns the batch's address."""
    page.goto(f"{base}/meters/{METER}")
    settle(page)
    page.get_by_role("button", name="Disconnect supply…").click()
    page.get_by_label("Reason (required)").click()
    page.get_by_role("option", name="Customer moved out").click()
    page.get_by_label("Last 4 digits of the serial number").fill(METER[-4:])
    page.get_by_role("button", name="Request disconnect").click()
    page.goto(f"{base}/meters/{UNFIT}")
    settle(page)
    page.locator(".page .menu summary", has_text="More").click()
    page.get_by_role("button", name="Emergency: disconnect…").click()
    page.get_by_label("What is the emergency? (required)").fill("Fire in the cellar")
    page.get_by_label("Last 4 digits of the serial number").fill(UNFIT[-4:])
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Break glass", exact=True).click()
    expect(page.locator(DIALOG)).to_have_count(0)
    page.goto(f"{base}/batches/new?kind=relay.read")
    settle(page)
    page.get_by_label("Serial numbers").fill(METER)
    page.get_by_label("Reason (required)").fill("Is it there?")
    page.get_by_role("button", name="Freeze the list").click()
    page.wait_for_url(re.compile("/batches/[0-9a-f]+$"))
    return page.url.removeprefix(base)


@pytest.fixture(scope="module")
def asked(chromium: Browser, server: Server) -> str:
    """What an operator has asked for, so that there is something to decide; a batch's address."""
    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, server.base, "operator", PASSWORD)
    address = ask(page, server.base)
    context.close()
    return address


@pytest.fixture(scope="module")
def administrator(chromium: Browser, server: Server) -> Iterator[Page]:
    """One page that goes from place to place; who sees every place."""
    context = chromium.new_context(bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    sign_in(page, server.base, "admin", PASSWORD)
    yield page
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_with_its_dialogs_is_for_everybody_and_fits_a_phone(
    administrator, server, asked, path
):
    page = administrator
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(server.base + (asked if path == BATCH else path))
    settle(page)
    faults = found(page, "light", {}) + found(page, "dark", CONTRAST)
    assert faults + found_in_dialogs(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_a_selection_of_all_that_match_becomes_a_batch(page, server, seen):
    page.goto(f"{server.base}/meters?view=silent")
    settle(page)
    page.locator(".ag-selection-checkbox input").first.click()
    expect(page.locator("[data-selected]")).to_have_text("1 selected")
    page.get_by_role("button", name="Select all 8 matching").click()
    expect(page.locator("[data-selected]")).to_have_text("8 selected")
    page.get_by_role("button", name="Read relays…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New batch")
    expect(page.get_by_text("8 meters", exact=True)).to_be_visible()
    page.get_by_label("Reason (required)").fill("Are they there?")
    page.get_by_role("button", name="Freeze the list").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Read relay state")
    expect(page.get_by_text(re.compile("^[0-9a-f]{64}$"))).to_be_visible()
    assert seen.console_errors == []


def test_a_list_stays_sorted_when_it_is_loaded_anew(page, server, seen):
    page.goto(f"{server.base}/meters")
    settle(page)
    header = page.locator(".ag-header-cell[col-id=customer]")
    first = page.locator(".ag-row[row-index='0'] .ag-cell[col-id=customer]")
    for order, address in (("ascending", "sort=customer"), ("descending", "descending=true")):
        header.click()
        expect(header).to_have_attribute("aria-sort", order)
        page.wait_for_url(re.compile(address))
    expect(first).to_have_text(re.compile(r"\S"))  # rows are there a moment before their texts
    last = first.text_content()
    page.reload()
    settle(page)
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(first).to_have_text(last)
    customers = page.locator(".ag-cell[col-id=customer]")
    expect(customers.filter(has_not_text=re.compile(r"\S"))).to_have_count(0)
    assert last == max(customers.all_text_contents())
    assert seen.console_errors == []


def test_a_search_drops_what_was_selected_before_it(page, server, seen):
    page.goto(f"{server.base}/meters")
    settle(page)
    page.locator(".ag-row").first.get_by_role("checkbox").click()
    page.get_by_role("button", name=re.compile("^Select all .* matching")).click()
    expect(page.locator("[data-selected]")).to_have_text("60 selected")
    page.get_by_label("Search meters").fill(METER)
    expect(page.locator("[data-grid-count]")).to_have_text("1 meter")
    expect(page.locator("[data-selection]")).to_be_hidden()
    page.get_by_label("Search meters").fill("")
    expect(page.locator("[data-grid-count]")).to_have_text("60 meters")
    expect(page.locator("[data-selection]")).to_be_hidden()
    assert seen.console_errors == []


def test_which_meters_are_silent_and_why_is_one_click_away(page, server, seen):
    page.goto(server.base)
    settle(page)
    page.get_by_role("link", name=re.compile("^Meters online")).click()
    expect(page.locator("[data-grid-count]")).to_have_text("8 meters")
    causes = page.locator(".ag-cell[col-id=why]").filter(has_text=re.compile(r"\S"))
    expect(causes).to_have_count(8)
    assert sorted(set(causes.all_text_contents())) == ["does not answer", "gateway is offline"]
    alone = page.locator(".ag-row[row-id=HES12643428] .ag-cell[col-id=why]")
    expect(alone).to_have_text("does not answer")
    assert seen.console_errors == []


def test_a_campaign_whose_canary_fails_stops_by_itself(page, chromium, server):
    page.goto(f"{server.base}/firmware/new")
    settle(page)
    page.get_by_label("Image (required)").click()
    page.get_by_role("option", name="2.5.0").click()
    page.get_by_label("Why now").fill("Fixes the clock")
    page.get_by_label("Serial numbers").fill(f"{UNFIT} {METER}")
    page.get_by_role("button", name="Freeze the list").click()
    expect(page.locator(".status-line")).to_contain_text("awaiting approval")
    page.wait_for_url(re.compile("/firmware/[0-9a-f]+$"))  # told a moment after the page is drawn
    address = page.url

    approver = chromium.new_context().new_page()
    sign_in(approver, server.base, "approver", PASSWORD)
    approver.goto(address)
    approver.get_by_role("button", name="Approve…").click()
    approver.get_by_label("Number of meters that it reaches").fill("2")
    approver.get_by_label("Your password").fill(PASSWORD)
    approver.get_by_role("button", name="Approve batch").click()
    stopped = page.get_by_text("stopped by itself: too many failed")
    expect(stopped.first).to_be_visible(timeout=15_000)
    expect(approver.get_by_role("button", name="Repeat what failed…")).to_be_visible()
    approver.context.close()


def test_the_palette_and_shortcuts_lead_anywhere_by_keyboard(page, server):
    page.goto(server.base)
    settle(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-0")).to_be_visible()  # of the empty field
    page.keyboard.type(METER)
    page.keyboard.press("Enter")  # at once: what was found for less does not count
    expect(page.get_by_role("heading", level=1)).to_have_text(METER)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_hidden()
    page.evaluate(KEYS, ["g", "b"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Batches")


def test_keys_count_from_the_moment_that_a_dialog_is_closed(page, server):
    page.goto(server.base)
    settle(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    keys = ["g", "b"]
    assert page.evaluate("document.activeElement.closest('dialog.help') !== null")
    page.evaluate(
        f"keys => {{ document.querySelector('dialog.help').close(); ({KEYS})(keys) }}", keys
    )
    expect(page.get_by_role("heading", level=1)).to_have_text("Batches")


def test_the_map_shows_clusters_lists_what_is_in_view_and_selects_an_area(page, server, seen):
    page.goto(f"{server.base}/map")
    settle(page)
    expect(page.locator("[data-map-count]")).to_have_text("60 meters in view")
    expect(page.locator(".map-square")).to_have_count(3)
    assert page.locator(".map-cluster").count() > 3
    page.get_by_role("button", name="Select an area").click()
    area = page.locator("[data-map]").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 5, area["y"] + 5)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 60, area["y"] + area["height"] - 5)
    page.mouse.up()
    expect(page.locator("[data-map-selected]")).to_have_text(re.compile(r"\d+ selected"))
    assert seen.external_requests == []
    assert seen.console_errors == []


NEW_TIME = """async () => {
  const time = document.createElement("time");
  Object.assign(time.dataset, { at: Date.UTC(2026, 5, 11, 12), style: "date" });
  time.textContent = "11 Jun, 12:00";
  document.body.append(time);
  await Promise.resolve();  // no timer comes in between
  return time.textContent;
}"""


def test_german_speaks_in_words_numbers_and_dates(chromium, server):
    context = chromium.new_context(locale="de-DE", timezone_id="Europe/Berlin")
    page = context.new_page()
    sign_in(page, server.base, "operator", PASSWORD)
    settle(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Die Flotte im Überblick")
    expect(page.locator("[data-figure=reads_complete_pct].figure")).to_have_text("99,3")
    page.wait_for_selector("html[lang=de]", state="attached")
    assert page.evaluate(NEW_TIME) == "11. Juni, 14:00", "in its zone before it is painted"
    page.goto(f"{server.base}/meters")
    row = page.locator(".ag-row input[type=checkbox]").first
    expect(row).to_have_attribute("aria-label", re.compile("Leertaste .*nicht ausgewählt"))
    page.goto(server.base)
    page.locator(".menu > summary").last.click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Fleet overview")
    context.close()


def test_texts_of_the_field_stay_texts_on_every_new_page(page, server, seen):
    page.goto(f"{server.base}/batches/new")
    settle(page)
    page.get_by_label("Serial numbers").fill(f"{METER} <img/src=x/onerror=pwned=1>")
    page.get_by_label("Command (required)").click()
    page.get_by_role("option", name="Read relay state").click()
    page.get_by_label("Reason (required)").fill(SCRIPT)
    page.get_by_role("button", name="Freeze the list").click()
    expect(page.get_by_text("<script>window.pwned").first).to_be_visible()
    page.wait_for_url(re.compile("/batches/[0-9a-f]+$"))
    address = page.url
    for target in ("/batches", address.removeprefix(server.base), "/audit", "/meters?q=script"):
        page.goto(server.base + target)
        settle(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("script")
    expect(page.get_by_role("option", name=re.compile("script>"))).to_be_visible()
    assert page.evaluate("window.pwned") is None
    assert seen.console_errors == []


def test_a_phone_opens_every_place_from_the_bar(chromium, server, seen):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    watch(page, server.base, seen)
    sign_in(page, server.base, "approver", PASSWORD)
    settle(page)
    page.get_by_role("button", name="More").click()
    page.get_by_role("link", name="Readings quality").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Readings quality")
    context.close()
    assert seen.console_errors == []


def test_a_trace_is_asked_for_and_read_by_keyboard(page, server):
    page.goto(f"{server.base}/meters/{METER}")
    settle(page)
    page.get_by_role("button", name="Trace the line now").focus()
    page.keyboard.press("Enter")
    first = page.locator(".said summary").first
    expect(first).to_be_visible(timeout=60_000)
    first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".said details[open] pre").first).to_contain_text("60 36 a1")
    expect(page.locator(".said").get_by_text("<script>alert(1)</script>").first).to_be_visible()
    panel = "section[aria-label='Decoded trace']"
    assert [each for theme in ("dark", "light") for each in found(page, theme, {}, panel)] == []
