"""Decisions that several people make at the console, on the whole running system.

One small town for the file: batch, quarantine, kill switch, break-glass and a firmware campaign are
each carried out at real relays and meters, and held against the simulator's own journal.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyotp
import pytest
from hesper_lab import screenshots
from hesper_lab.rest import Rest
from hesper_lab.running import Running, running
from hesper_lab.site import Site, Wishes
from hesper_sim import ledger
from playwright.sync_api import Browser, Page, expect

sys.path.insert(0, str(Path(__file__).parent))
from console_people import (
    CONFIRMED,
    ON_A_SITE,
    People,
    approve,
    approve_batch,
    go,
    open_meter,
    request_disconnect,
)
from release_papers import signed

pytestmark = ON_A_SITE
IN_BATCH = 12
BATCHED, HELD, STOPPED, EMERGENCY = slice(0, IN_BATCH), IN_BATCH, IN_BATCH + 1, IN_BATCH + 2
UPDATED = slice(IN_BATCH + 3, IN_BATCH + 6)
"""Which of the town's meters each test has for itself."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A town of 18 meters behind one gateway."""
    wishes = Wishes(
        capture_period_s=900, history_days=0, snapshot_s=5,
        tcp_meters=18, shared_meters=0, dial_in_meters=0, rs485_meters=0,
        pushes=False, one_gateway=True,
    )  # fmt: skip
    opened = Site.open(tmp_path_factory.mktemp("site"), wishes)
    with running(opened, lambda _: None, install=False) as processes:
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
    assert everybody.seen.console_errors == []


@pytest.fixture
def serials(people: People) -> list[str]:
    """The town's meters, whose relays are all known to be closed."""
    found = sorted(meter.serial for meter in people.running.fleet.meters)
    people.wait_until_commandable(found)
    return found


def count_of(page: Page, row_state: str) -> int:
    """Reads from the legend of a batch how many of its rows are in one state."""
    told = page.locator(f".legend .marked:has(.part-{row_state}) strong")
    return int(told.inner_text()) if told.count() else 0


def test_a_batch_goes_canary_first_and_ends_in_mid_way_when_it_is_aborted(
    people, serials, tmp_path
):
    operator = people.enter("operator", "/meters")
    boxes = operator.locator(".ag-center-cols-container, .ag-pinned-left-cols-container")
    for serial in serials[BATCHED]:
        boxes.locator(f".ag-row[row-id='{serial}'] .ag-selection-checkbox input").click()
    expect(operator.locator("[data-selected]")).to_have_text(f"{IN_BATCH} selected")
    operator.get_by_role("button", name="Command…").click()
    operator.get_by_label("Command (required)").click()
    operator.get_by_role("option", name="Disconnect supply").click()
    operator.get_by_label("Reason (required)").fill("The feeder is worked on")
    operator.get_by_label("Canary: how many go first").fill("2")
    operator.get_by_label("An hour, at most").fill("1200")
    operator.get_by_role("button", name="Freeze the list").click()
    state = operator.locator(".status-line")
    expect(state).to_contain_text("awaiting approval")
    digest = operator.locator(".facts .hash").inner_text()
    assert re.fullmatch("[0-9a-f]{64}", digest)

    approver = people.enter("approver")
    go(approver, "Batches")
    approver.get_by_role("link", name="Disconnect supply").click()
    assert approver.locator(".facts .hash").first.inner_text() == digest
    approve_batch(approver, people.password("approver"), IN_BATCH)
    expect(state).to_contain_text("canary under way")
    expect(state).to_contain_text("running")
    cut_by_canary = [each for each in serials if people.movements(each) == [False]]
    assert set(serials[:2]) <= set(cut_by_canary)

    operator.get_by_role("button", name="Abort…").click()
    operator.get_by_label("Reason (required)").fill("Wrong feeder")
    operator.get_by_role("button", name="Abort batch").click()
    for page in (operator, approver):
        expect(page.locator(".status-line")).to_contain_text("aborted")
        expect(page.locator(".legend .part-released")).to_have_count(0)
    confirmed, withdrawn = count_of(operator, "confirmed"), count_of(operator, "withdrawn")
    assert confirmed + withdrawn == IN_BATCH
    assert confirmed >= 2 <= withdrawn
    cut = [each for each in serials if people.movements(each) == [False]]
    assert cut == serials[:confirmed]
    with operator.expect_download() as download:
        operator.get_by_role("link", name="CSV of all rows").click()
    download.value.save_as(tmp_path / "batch.csv")
    assert (tmp_path / "batch.csv").read_text().count("confirmed") == confirmed


def test_what_is_held_for_being_too_much_leaves_when_two_have_released_it(people, serials):
    serial = serials[HELD]
    with people.policy(disconnects={"quarantine_above": 0}):
        operator, approver = people.enter("operator"), people.enter("approver")
        open_meter(operator, serial)
        request_disconnect(operator, serial)
        approve(approver, people.password("approver"))
        expect(operator.locator("[data-pending=quarantined]")).to_be_visible()
        release(approver, people.password("approver"))
        expect(approver.get_by_text("another approver must release it, too")).to_be_visible()
        assert people.movements(serial) == []
        release(people.enter("admin", "/commands"), people.password("admin"))
        expect(operator.locator(CONFIRMED)).to_contain_text("Relay read disconnected")
    assert people.movements(serial) == [False]


def release(page: Page, password: str) -> None:
    """Gives one approver's word for the command that is held."""
    page.get_by_role("button", name="Release…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Two approvers must each say")
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_one_person_stops_all_commands_and_two_others_let_them_leave_again(people, serials):
    serial = serials[STOPPED]
    operator, approver = people.enter("operator", "/commands"), people.enter("approver")
    operator.get_by_role("button", name="Stop all commands…").click()
    operator.get_by_label("Reason (required)").fill("Someone may be inside")
    operator.get_by_role("button", name="Stop all commands", exact=True).click()
    banner = operator.get_by_role("alert")
    expect(banner).to_contain_text("by operator: Someone may be inside")
    expect(approver.get_by_text("The kill switch is engaged")).to_be_visible()
    watcher = people.enter("operator", f"/meters/{serial}")
    expect(watcher.get_by_role("button", name="Disconnect supply…")).to_be_disabled()
    expect(watcher.get_by_text("Blocked: Disconnect supply")).to_be_visible()

    go(approver, "Commands")
    lift(approver, people.password("approver"))
    expect(approver.get_by_text("approver has asked for its release")).to_be_visible()
    expect(approver.get_by_role("button", name="Release…")).to_be_disabled()
    expect(banner).to_be_visible()
    admin = people.enter("admin", "/commands")
    lift(admin, people.password("admin"))
    for page in (admin, approver, operator):
        expect(page.get_by_text("Commands may leave.")).to_be_visible()
    expect(watcher.get_by_role("button", name="Disconnect supply…")).to_be_enabled()
    assert people.movements(serial) == []


def lift(page: Page, password: str) -> None:
    """Gives one approver's word that commands may leave again."""
    page.get_by_role("button", name="Release…").click()
    page.get_by_label("Reason (required)").fill("It was a drill")
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Release the switch").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_emergency_goes_without_a_second_person_and_another_reviews_it(people, serials):
    serial = serials[EMERGENCY]
    people.engage("duty", "operator")
    with people.policy(break_glass={"factor_age_s": 0}):
        duty, approver = people.enter("duty", "/profile"), people.enter("approver", "/alerts")
        code = enrolled(duty, people.password("duty"))
        open_meter(duty, serial)
        expect(duty.get_by_role("button", name="Disconnect supply…")).to_be_enabled()
        duty.get_by_text("More", exact=True).last.click()
        duty.get_by_role("button", name="Emergency: disconnect…").click()
        duty.get_by_label("What is the emergency? (required)").fill("Fire in the cellar")
        duty.get_by_label("Last 4 digits of the serial number").fill(serial[-4:])
        duty.get_by_label("Your password").fill(people.password("duty"))
        breaking = duty.get_by_role("button", name="Break glass", exact=True)
        expect(breaking).to_be_disabled()
        duty.get_by_label("Code of your second factor").fill(code)
        breaking.click()
        expect(duty.locator(CONFIRMED)).to_contain_text("Relay read disconnected")
    assert people.movements(serial) == [False]

    told = approver.locator("tbody tr", has_text="Fire in the cellar")
    expect(told).to_contain_text("critical", ignore_case=True)
    expect(told).to_contain_text(f"relay.disconnect of {serial}")
    go(approver, "Commands")
    uses = approver.get_by_role("region", name="Break-glass")
    expect(uses.get_by_role("link", name=serial)).to_be_visible()
    approver.get_by_role("button", name="Review…").click()
    approver.get_by_label("Verdict (required)").click()
    approver.get_by_role("option", name="Justified").click()
    approver.get_by_label("What you found (required)").fill("The fire brigade asked")
    approver.get_by_label("Your password").fill(people.password("approver"))
    approver.get_by_role("button", name="Sign the review").click()
    verdict = "Justified, said approver: The fire brigade asked"
    expect(approver.get_by_text(verdict)).to_be_visible()
    go(approver, "Alerts")
    expect(told).to_have_count(0)


def enrolled(page: Page, password: str) -> str:
    """Sets up a second factor from the account's page; returns a recovery code."""
    page.get_by_role("button", name="Set up a second factor…").click()
    secret = page.locator("[data-secret]").inner_text()
    page.get_by_label("The code that it shows now").fill(pyotp.TOTP(secret).now())
    page.get_by_label("Your password").fill(password)
    code = page.locator(".codes li").first.inner_text()
    page.get_by_role("button", name="Set up", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    return code


def test_a_campaign_stops_by_itself_when_its_canary_cannot_verify_the_image(people, serials):
    targets = serials[UPDATED]
    octets = b"no firmware that a meter could verify" * 200
    with closing(Rest(people.site.url, people.site.account("operator"))) as rest:
        rest.bring_image(*signed(people.site, "HSP-FW 1.5.0", octets))
    operator = people.enter("operator")
    go(operator, "Firmware")
    operator.get_by_role("link", name="New campaign…").click()
    operator.get_by_label("Image (required)").click()
    operator.get_by_role("option", name="HSP-FW 1.5.0").click()
    operator.get_by_label("Why now").fill("Fixes the clock")
    operator.get_by_label("Serial numbers").fill("\n".join(targets))
    operator.get_by_role("button", name="Freeze the list").click()  # 1 %, 10 %, the rest
    expect(operator.locator(".status-line")).to_contain_text("awaiting approval")
    operator.wait_for_url(re.compile("/firmware/[0-9a-f-]+$"))

    approver = people.enter("approver", operator.url.removeprefix(people.site.url))
    approve_batch(approver, people.password("approver"), len(targets))
    for page in (operator, approver):
        expect(page.locator(".status-line")).to_contain_text("stopped by itself: too many failed")
        funnel = page.locator(".funnel li")
        expect(funnel.filter(has_text="Targeted").locator("strong")).to_have_text("3")
        expect(funnel.filter(has_text="Downloaded").locator("strong")).to_have_text("1")
        expect(funnel.filter(has_text="Verified").locator("strong")).to_have_text("0")
    expect(approver.get_by_role("button", name="Repeat what failed…")).to_be_visible()
    asked = {each["meter"] for each in ledger.records(people.site.sim, "image")}
    assert len(asked & set(targets)) == 1
