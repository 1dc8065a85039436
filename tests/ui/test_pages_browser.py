"""A real browser: an image is brought, units are chosen, and what must be read whole is whole."""

import hashlib
from datetime import UTC, datetime

import pytest
from console_double.fleet import SCRIPT
from console_double.server import Server
from console_double.services import PASSWORD
from hesper_contracts import jsonbody, manifest
from hesper_contracts.manifest import Manifest
from hesper_contracts.signing import Signer
from hesper_lab import screenshots
from hesper_lab.screenshots import Seen, settle, sign_in
from hesper_ui.places import declared
from playwright.sync_api import Browser, Page, Route, expect

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
]
METER = "HES12642984"
IMAGE = b"the octets of an image " * 5_000
LONG = "LGZ1030655099887766554433221100"
NO_LABEL_IS_CUT = """() => [...document.querySelectorAll('.tile-label > span:last-child')]
    .every(({ parentElement: label }) => label.scrollWidth <= label.clientWidth)"""


def signed(image: bytes) -> bytes:
    """Returns the manifest of an image with the seals of two release keys."""
    said = Manifest(
        type="meter", hardware="SIM-3P", version="3.0.0", size=len(image),
        image_hash=hashlib.sha256(image).hexdigest(), not_after=datetime(2036, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    document = manifest.unsigned(said)
    for _ in range(manifest.SEALS_NEEDED):
        document = manifest.sign(document, Signer.generate())
    return jsonbody.encode(document)


def file(name: str, octets: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": octets}


def test_an_image_is_brought_with_its_manifest(page: Page, server: Server, seen: Seen) -> None:
    page.goto(f"{server.base}/firmware")
    settle(page)
    form = page.get_by_role("form", name="Bring an image")
    field = form.get_by_label("Signed manifest")
    page.keyboard.press("Tab")
    field.focus()
    outline = "input => getComputedStyle(input.parentElement).outlineStyle"
    assert field.evaluate(outline) == "solid"
    field.set_input_files([file("3.manifest", signed(IMAGE))])
    expect(form.get_by_text("3.manifest")).to_be_visible()
    form.get_by_label("Image, as the meter").set_input_files([file("3.bin", b"something else")])
    form.get_by_role("button", name="Bring it").click()
    expect(form.get_by_role("alert")).to_contain_text("not the octets of the manifest")
    news = "- the clock is right again\n<img src=x onerror=alert(1)>"
    form.get_by_label("What is new in it").fill(news)
    form.get_by_label("Image, as the meter").set_input_files([file("3.bin", IMAGE)])
    form.get_by_role("button", name="Bring it").click()
    expect(form.get_by_text("Version 3.0.0 is kept.")).to_be_visible()
    expect(form.get_by_text("none chosen")).to_have_count(2)
    expect(page.get_by_role("row", name="3.0.0")).to_contain_text("signed by two")
    told = page.locator("details.long", has_text="What is new in 3.0.0")
    expect(told.locator("p")).to_have_text(news)
    assert page.locator("img").count() == 0
    form.get_by_label("Signed manifest").set_input_files([file("4.manifest", b"{}")])
    form.get_by_label("Image, as the meter").set_input_files([file("4.bin", IMAGE)])
    form.get_by_role("button", name="Bring it").click()
    expect(form.get_by_role("alert")).to_contain_text("That is no manifest")
    assert seen.external_requests == []


def test_units_and_signs_are_chosen_and_live_values_keep_them(page: Page, server: Server) -> None:
    page.goto(f"{server.base}/profile")
    settle(page)
    page.get_by_role("group", name="Units of energy").get_by_text("MWh, MW").click()
    page.wait_for_function("window.hesperUnits === 'mega'")
    page.get_by_role("group", name="Decimal sign").get_by_text("Comma").click()
    page.wait_for_function("window.hesperNumbers === 'de-DE'")
    page.goto(f"{server.base}/meters/{METER}")
    settle(page)
    row = page.get_by_role("row", name="Active energy import")
    expect(row).to_contain_text("MWh")
    shown = row.locator("[data-latest]")
    before = shown.inner_text()
    assert "," in before
    shown.evaluate("element => { element.textContent = ''; }")
    expect(shown).to_have_text(before, timeout=30_000)  # as the next live frame writes it
    page.goto(server.base)
    settle(page)
    load = page.locator(".tile", has_text="Fleet load").locator(".unit")
    expect(load).to_have_text("MW")


def test_long_serials_and_states_are_never_cut(page: Page, server: Server) -> None:
    def stretched(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["rows"][0] |= {"id": LONG, "state": {"mark": "unknown", "word": "never seen at all"}}
        told["rows"][0] |= {"firmware": "HSP-FW 1.14.2"}
        route.fulfill(response=answer, json=told)

    page.route("**/console/meters?*", stretched)
    page.goto(f"{server.base}/meters")
    settle(page)
    serial = page.get_by_role("link", name=LONG)
    expect(serial).to_be_visible()
    state = page.locator(".ag-cell[col-id=state]", has_text="never seen at all")
    firmware = page.locator(".ag-cell[col-id=firmware]", has_text="HSP-FW 1.14.2")
    for cell in (serial.locator("xpath=ancestor::*[@role='gridcell']"), state, firmware):
        expect(cell).to_be_visible()
        fits = "cell => cell.scrollWidth <= cell.clientWidth"
        page.wait_for_function(fits, arg=cell.element_handle())


def test_the_longest_name_stays_in_its_place(page: Page, server: Server) -> None:
    page.goto(f"{server.base}/customers")
    page.get_by_role("button", name="Add a customer…").click()
    page.get_by_label("Name (required)").fill(f"{'x' * 160} {SCRIPT}")
    page.get_by_label("Account number (required)").fill("A-LONGEST")
    page.get_by_label("Area").fill("North")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{server.base}/customers?search=A-LONGEST")
    page.get_by_role("link", name="x" * 160).click()
    change = page.get_by_role("button", name="Change…")
    expect(change).to_be_visible()
    fits = "width => document.scrollingElement.scrollWidth <= width"
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(fits, arg=width)
    assert page.evaluate("window.pwned") is None


def test_no_page_scrolls_for_nothing_nor_sideways_on_a_german_phone(
    chromium: Browser, server: Server
) -> None:
    """Words are longer there; and below a page that fits there is no bar to the right."""
    context = chromium.new_context(locale="de-DE", has_touch=True)
    page = context.new_page()
    sign_in(page, server.base, "admin", PASSWORD)
    too_tall = "document.scrollingElement.scrollHeight > innerHeight"
    for path in sorted({place.path for place in declared() if "{" not in place.path}):
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(server.base + path)
        settle(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390, path
        if path == "/":
            for width in (1440, 1280, 768):
                page.set_viewport_size({"width": width, "height": 900})
                page.wait_for_function(NO_LABEL_IS_CUT)
        if path == "/audit/looks":
            page.set_viewport_size({"width": 1440, "height": 900})
            expect(page.locator("#content")).to_be_in_viewport(ratio=1)
            assert not page.evaluate(too_tall), path
    context.close()


def test_the_rows_of_a_batch_are_read_without_scrolling_sideways(
    chromium: Browser, server: Server
) -> None:
    context = chromium.new_context(locale="de-DE", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    sign_in(page, server.base, "operator", PASSWORD)
    page.goto(f"{server.base}/batches/new?kind=relay.read")
    settle(page)
    page.get_by_label("Seriennummern").fill(f"{METER} {LONG}")
    page.get_by_label("Grund (nötig)").fill("Sind sie da?")
    page.get_by_role("button", name="Liste einfrieren").click()
    row = page.get_by_role("row", name=LONG)
    expect(row).to_contain_text("ausgenommen")
    fits = "row => row.closest('.table-wrap').scrollWidth <= row.closest('.table-wrap').clientWidth"
    assert row.evaluate(fits)
    terms, rows = (page.get_by_role("region", name=name) for name in ("Bedingungen", "Zeilen"))
    assert terms.bounding_box()["y"] < rows.bounding_box()["y"]
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_what_was_changed_of_a_meter_is_read_without_scrolling_sideways(
    page: Page, server: Server, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{server.base}/meters")
    settle(page)
    page.locator("a[href^='/meters/HES'] >> visible=true").first.click()
    page.wait_for_url("**/meters/HES*")
    page.get_by_role("button", name="Change…").click()
    page.get_by_label("Brand").fill(f"ABrandWithoutAnySpaceInItsName{'-' * 40}{width}")
    page.get_by_role("button", name="Change", exact=True).click()
    page.locator("summary", has_text="Changes").click()
    changes = page.get_by_role("list", name="Changes")
    expect(changes).to_contain_text("Brand: ")
    assert changes.evaluate("list => list.scrollWidth <= list.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
