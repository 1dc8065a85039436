"""The console in the system's Chromium, against the double as a process of its own."""

import re

import pytest
from console_double.server import Server
from console_double.services import PASSWORD
from hesper_lab import screenshots
from hesper_lab.screenshots import Seen, settle, sign_in, watch
from playwright.sync_api import Locator, Page, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]
METER = "HES12643021"
UNASKED = "HES12643095"
FREE = "HES12642984"
START_S = 60.0
SILENT_MS = 2000  # two seconds after the server dies nothing may say "live"
LEVEL = "/service-levels/daily profiles within 8 h?day=2026-11-20"
PAGES = (
    *("/", "/gaps", "/meters", f"/meters/{METER}", "/alerts", "/gateways", "/commands"),
    *("/events", "/service-levels", LEVEL),
)


def clean(seen: Seen) -> None:
    assert seen.external_requests == []
    assert seen.console_errors == []


def test_from_sign_in_to_a_confirmed_disconnect(page, chromium, server, seen):
    page.context.clear_cookies()
    sign_in(page, server.base, "operator", PASSWORD)
    settle(page)
    page.get_by_role("link", name="Meters", exact=True).click()
    page.get_by_label("Search meters").fill(METER)
    expect(page.locator("[data-grid-count]")).to_have_text("1 meter")
    page.get_by_role("link", name=METER).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(METER)
    expect(page).to_have_title(f"{METER} · Hesper")
    expect(page.get_by_text("16 intervals missing")).to_be_visible()

    page.get_by_role("button", name="Disconnect supply…").click()
    expect(page.get_by_role("dialog", name=f"Disconnect supply to {METER}?")).to_be_visible()
    expect(page.get_by_role("button", name="Keep connected")).to_be_focused()
    request = page.get_by_role("button", name="Request disconnect")
    expect(request).to_be_disabled()
    page.get_by_label("Reason (required)").click()
    page.get_by_role("option", name="Customer moved out").click()
    page.get_by_label("Last 4 digits of the serial number").fill(METER[-4:])
    expect(request).to_be_enabled()
    request.evaluate("button => { for (let i = 0; i < 10; i++) button.click(); }")
    expect(page.locator("[data-pending=awaiting_approval]")).to_be_visible()
    assert page.locator(".timeline [data-state]").count() == 1

    approver = chromium.new_context().new_page()
    watch(approver, server.base, seen)
    sign_in(approver, server.base, "approver", PASSWORD)
    navigation = approver.get_by_role("navigation", name="Main")
    navigation.get_by_role("link", name="Commands").click()
    approver.get_by_role("button", name=f"Approve… Disconnect supply, {METER}").click()
    approver.get_by_label("Your password").fill(PASSWORD)
    approver.get_by_role("button", name="Approve disconnect").click()
    expect(page.locator(".timeline [data-state=confirmed]")).to_be_visible()
    expect(page.get_by_role("button", name="Reconnect supply…")).to_be_enabled()
    approver.context.close()
    clean(seen)


def test_a_link_to_where_one_is_keeps_what_is_being_typed(page, server, seen):
    page.goto(server.base)
    meters = page.get_by_role("link", name="Meters", exact=True)
    meters.click()
    field = page.get_by_label("Search meters")
    field.evaluate("field => { field.first = true; }")
    meters.click()
    field.fill(METER)
    settle(page)
    expect(page.locator("[data-grid-count]")).to_have_text("1 meter")
    assert field.evaluate("field => field.first") is True
    assert field.input_value() == METER
    clean(seen)


def test_the_focus_stays_where_it_was_when_a_list_is_drawn_anew(page, server, seen):
    page.goto(server.base + "/alerts")
    settle(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    focused = page.locator(":focus")
    row = focused.inner_text()
    focused.evaluate("link => { link.seenBefore = true; }")
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="Acknowledge this alert?")
    expect(dialog.get_by_role("button", name="Not now")).to_be_focused()
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("acknowledged by operator").first).to_be_visible()
    expect(page.locator("a:focus")).to_have_text(row)
    assert page.evaluate("document.activeElement.seenBefore") is None
    menu = page.locator(".menu > summary").first
    menu.press("Enter")
    expect(page.locator("details.menu[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("details.menu[open]")).to_have_count(0)
    expect(menu).to_be_focused()
    clean(seen)


def test_live_values_move_without_a_reload(page, server, seen):
    page.goto(server.base)
    settle(page)
    stored = page.locator("[data-figure=readings_per_s].figure")
    before = stored.inner_text()
    expect(stored).not_to_have_text(before)
    clean(seen)


def test_a_note_says_the_same_as_the_figure_above_it(page, server):
    page.goto(server.base)
    settle(page)
    for label, words in (("Meters online", r"\d+ not heard from"), ("Readings stored", "online$")):
        note = page.locator(".tile", has_text=label).locator(".tile-note")
        expect(note).to_have_text(re.compile(words))
        before = note.inner_text()
        note.evaluate("element => { element.textContent = 'as it was a minute ago'; }")
        expect(note).to_have_text(before, timeout=30_000)


def test_texts_from_the_field_are_shown_and_never_run(page, server, seen):
    for path in ("/", "/meters", "/meters/HES12643169", "/alerts"):
        page.goto(server.base + path)
        settle(page)
        expect(page.get_by_text("<script>window.pwned").first).to_be_visible()
    assert page.evaluate("window.pwned") is None
    clean(seen)


@pytest.mark.parametrize("width", [360, 768])
def test_narrow_screens_need_no_sideways_scrolling(chromium, server, seen, width):
    context = chromium.new_context(viewport={"width": width, "height": 780}, has_touch=True)
    page = context.new_page()
    watch(page, server.base, seen)
    sign_in(page, server.base, "operator", PASSWORD)
    for path in PAGES:
        page.goto(server.base + path)
        settle(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, path
        expect(page.get_by_role("navigation", name="Main")).to_be_in_viewport()
    context.close()
    clean(seen)


def test_the_theme_is_chosen_kept_and_reaches_the_charts(page, server):
    page.goto(server.base)
    settle(page)
    page.locator(".menu > summary").click()
    page.get_by_role("button", name="Light").click()
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(238, 240, 242)"
    page.goto(server.base + "/")
    settle(page)
    assert page.evaluate(colour) == "rgb(238, 240, 242)"
    strokes = (
        "[...document.querySelectorAll('.nicegui-echart path')]"
        ".map(path => getComputedStyle(path).stroke)"
    )
    assert "rgb(11, 99, 181)" in page.evaluate(strokes)
    page.locator(".menu > summary").click()
    page.get_by_role("button", name="System").click()
    assert page.evaluate(colour) == "rgb(20, 23, 27)"
    assert "rgb(108, 178, 240)" in page.evaluate(strokes)


def test_the_keyboard_opens_and_leaves_the_dialog(page, server):
    page.goto(f"{server.base}/meters/{FREE}")
    settle(page)
    page.get_by_role("button", name="Disconnect supply…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep connected")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{server.base}/alerts")
    settle(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("a")
    expect(page.get_by_role("dialog", name="Acknowledge this alert?")).to_be_visible()
    page.keyboard.press("Escape")
    page.goto(f"{server.base}/meters")
    settle(page)
    page.keyboard.press("/")
    expect(page.get_by_label("Search meters")).to_be_focused()


def test_the_focus_is_on_the_page_after_a_dialog_has_acted(page, server):
    """The button that opened it is held by then: whoever works by keys goes on from the title."""
    page.goto(f"{server.base}/meters/{UNASKED}")
    settle(page)
    page.get_by_role("button", name="Disconnect supply…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep connected")).to_be_focused()
    page.get_by_label("Reason (required)").click()
    page.get_by_role("option", name="Customer moved out").click()
    page.get_by_label("Last 4 digits of the serial number").fill(UNASKED[-4:])
    act = page.get_by_role("button", name="Request disconnect")
    expect(act).to_be_enabled()
    act.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_menu_stays_open_when_what_is_around_it_is_drawn_anew(page, server):
    page.goto(f"{server.base}/meters/{UNASKED}")
    settle(page)
    page.locator(".page .menu summary", has_text="More").click()
    glass = page.get_by_role("button", name="Emergency: disconnect…")
    glass.focus()
    page.evaluate("window.before = document.querySelector('.page .menu')")
    page.wait_for_function("!window.before.isConnected")
    expect(glass).to_be_visible()
    expect(glass).to_be_focused()
    page.keyboard.press("Escape")
    expect(glass).to_be_hidden()
    page.evaluate("window.before = document.querySelector('.page .menu')")
    page.wait_for_function("!window.before.isConnected")
    expect(glass).to_be_hidden()


def before_it_is_drawn_anew(page: Page, server: Server) -> Locator:
    """Opens a meter's page, whose head is drawn anew each few seconds; returns a button of it."""
    page.goto(f"{server.base}/meters/{FREE}")
    settle(page)
    opener = page.get_by_role("button", name="Disconnect supply…")
    opener.evaluate("button => { window.before = button; }")
    return opener


def test_a_press_that_a_new_drawing_cuts_in_two_is_a_click(page, server):
    opener = before_it_is_drawn_anew(page, server)
    opener.hover()
    page.mouse.down()
    page.wait_for_function("!window.before.isConnected")
    page.mouse.up()
    expect(page.get_by_role("dialog", name="Disconnect")).to_have_count(1)


def test_a_press_that_is_let_go_elsewhere_is_none(page, server):
    opener = before_it_is_drawn_anew(page, server)
    opener.hover()
    page.mouse.down()
    page.wait_for_function("!window.before.isConnected")
    page.get_by_role("button", name="Read relay now").hover()
    page.mouse.up()
    opener.evaluate("button => { window.before = button; }")
    page.wait_for_function("!window.before.isConnected")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_second_press_of_a_double_click_is_not_for_the_row_that_came_there(page, server):
    """The first one takes a request out of the list, and the next one stands where it was."""
    for meter in ("HES12643724", "HES12643761"):
        page.goto(f"{server.base}/meters/{meter}")
        settle(page)
        page.get_by_role("button", name="Disconnect supply…").click()
        page.get_by_label("Reason (required)").click()
        page.get_by_role("option", name="Customer moved out").click()
        page.get_by_label("Last 4 digits of the serial number").fill(meter[-4:])
        page.get_by_role("button", name="Request disconnect").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{server.base}/commands")
    settle(page)
    withdraws = page.get_by_role("button", name="Withdraw")
    count = withdraws.count()
    withdraws.first.hover()
    page.mouse.down()
    page.mouse.up()
    expect(withdraws).to_have_count(count - 1)
    page.evaluate("addEventListener('click', (event) => { window.heard = event.target; })")
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    assert page.evaluate("window.heard === undefined")
    page.mouse.down()
    page.mouse.up()
    expect(withdraws).to_have_count(count - 2)


def test_a_click_on_its_way_while_its_button_is_drawn_anew_is_heard(page, server):
    before_it_is_drawn_anew(page, server)
    page.wait_for_function("!window.before.isConnected")
    page.evaluate("window.before.click()")
    expect(page.get_by_role("dialog", name="Disconnect")).to_have_count(1)


def test_two_seconds_after_the_server_dies_nothing_is_live(page, server):
    page.goto(f"{server.base}/meters/{FREE}")
    settle(page)
    button = page.get_by_role("button", name="Disconnect supply…")
    expect(button).to_be_enabled()
    button.click()
    page.get_by_label("Last 4 digits of the serial number").fill("29")
    server.kill()
    try:
        page.wait_for_selector("html[data-link=lost]", state="attached", timeout=SILENT_MS)
        expect(page.locator(".link-state")).to_contain_text("no data", timeout=500)
        expect(button).to_be_disabled(timeout=500)
    finally:
        server.start()
    expect(page.get_by_role("heading", name="Hesper")).to_be_visible()
    assert_kept(page, server, "29")


def assert_kept(page: Page, server: Server, typed: str) -> None:
    """What was typed is shown to who typed it, until it is discarded; to nobody else."""
    sign_in(page, server.base, "operator", PASSWORD)
    expect(page.locator(".drafts .written")).to_have_text(typed)
    page.context.clear_cookies()
    sign_in(page, server.base, "approver", PASSWORD)
    page.wait_for_function("!sessionStorage.hesper_drafts")
    expect(page.locator(".drafts")).to_have_count(0)
