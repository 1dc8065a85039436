"""People at their browsers, each in a context of their own, on one whole running system."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hesper_cloud import provision
from hesper_cloud.authority.policy import POLICIES
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from hesper_lab import screenshots, system
from hesper_lab.rest import Rest
from hesper_lab.running import Running
from hesper_lab.screenshots import Seen, settle, sign_in, watch
from hesper_lab.site import PACKAGES
from hesper_sim import ledger
from patience import eventually
from playwright.sync_api import Browser, BrowserContext, Page, expect

PATIENCE_MS = 120_000
ON_A_SITE = [
    pytest.mark.acceptance,
    pytest.mark.browser,
    pytest.mark.skipif(not screenshots.CHROMIUM.exists(), reason="no Chromium on this machine"),
    pytest.mark.skipif(
        system.find("mosquitto", PACKAGES / "mosquitto") is None,
        reason="no mosquitto on this machine",
    ),
    pytest.mark.timeout(300),
]
"""What all tests of these pages are, and need."""
CONFIRMED = ".timeline [data-state=confirmed]"
expect.set_options(timeout=PATIENCE_MS)  # the machine may be busy with other tests
DESK = {"width": 1440, "height": 900}


class People:
    """Signs people of a site in, and notes what their pages ask for and complain of."""

    def __init__(self, site: Running, chromium: Browser) -> None:
        self.running = site
        self.site = site.site
        self.seen = Seen()
        self._chromium = chromium
        self._passwords = {each.username: each.password for each in self.site.accounts}

    def enter(self, username: str, path: str = "/") -> Page:
        """Signs a person in; returns their page where they wanted to be."""
        page = self._profile().new_page()
        page.set_default_timeout(PATIENCE_MS)
        watch(page, self.site.url, self.seen)
        sign_in(page, self.site.url, username, self.password(username))
        if path != "/":
            page.goto(self.site.url + path)
        settle(page)
        return page

    def _profile(self) -> BrowserContext:
        """Returns one of the browser's profiles where nobody sits; nothing is kept in it.

        The first page in a new one costs as much as six in one that has loaded the console before.
        """
        idle = (each for each in self._chromium.contexts if not each.pages)
        return next(idle, None) or self._chromium.new_context(viewport=DESK)

    def password(self, username: str) -> str:
        """Returns the password of one of the site's accounts."""
        return self._passwords[username]

    def engage(self, username: str, role: str) -> None:
        """Gives somebody an account, on the machine itself."""
        self._passwords[username] = password = f"the password of {username}"
        databases = Databases.open(Settings.load(self.site.cloud / "cloud.toml"))
        try:
            provision.add_user(databases.authority, username, role, password)
        finally:
            databases.close()

    def leave(self) -> None:
        """Closes everybody's pages; none of them may have asked another server."""
        for context in self._chromium.contexts:
            for page in context.pages:
                page.evaluate("try { localStorage.clear(); } catch { /* nothing was opened */ }")
                page.close()
            context.clear_cookies()
        assert self.seen.external_requests == []

    def movements(self, serial: str) -> list[bool]:
        """Every movement of one relay, by the simulator's own journal; true for closed."""
        relays = ledger.records(self.site.sim, "relay")
        return [each["output"] for each in relays if each["meter"] == serial]

    def wait_until_commandable(self, serials: list[str]) -> None:
        """Returns once the head end knows where these relays stand."""
        with closing(Rest(self.site.url, self.site.account("operator"))) as operator:

            def known() -> bool:
                details = (operator.get(f"/meters/{each}") for each in serials)
                return all(detail["disconnect_blocked"] is None for detail in details)

            eventually(known, "the relays may be commanded")

    @contextmanager
    def policy(self, **changes: dict[str, Any]) -> Iterator[None]:
        """Sets other terms within the demo's policy for as long as the block lasts."""
        databases = Databases.open(Settings.load(self.site.cloud / "cloud.toml"))
        before = POLICIES["demo"].model_dump(mode="json")
        during = before | {name: before[name] | terms for name, terms in changes.items()}
        try:
            provision.activate_policy(databases.authority, "changed", during)
            yield
            provision.activate_policy(databases.authority, "demo", before)
        finally:
            databases.close()


def go(page: Page, place: str) -> None:
    """Follows a link of the navigation."""
    page.get_by_role("navigation", name="Main").get_by_role("link", name=place).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(place)


def open_meter(page: Page, serial: str) -> None:
    """Finds a meter in the list, as a person would, and opens it."""
    page.get_by_role("link", name="Meters", exact=True).click()
    page.get_by_label("Search meters").fill(serial)
    expect(page.locator("[data-grid-count]")).to_have_text("1 meter")
    page.get_by_role("link", name=serial).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(serial)


def fill_disconnect(page: Page, serial: str) -> None:
    """Opens the dialog for cutting a supply and gives what it asks for."""
    ask = page.get_by_role("button", name="Disconnect supply…")
    expect(ask).to_be_enabled(timeout=PATIENCE_MS)
    ask.click()
    page.get_by_label("Reason (required)").click()
    page.get_by_role("option", name="Customer moved out").click()
    page.get_by_label("Last 4 digits of the serial number").fill(serial[-4:])


def request_disconnect(page: Page, serial: str) -> None:
    """Fills in the dialog; ten rapid clicks on its button."""
    fill_disconnect(page, serial)
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
    expect(page.get_by_role("dialog")).to_have_count(0)


def approve_batch(page: Page, password: str, count: int) -> None:
    """Approves the batch that a page shows; a wrong count is not taken."""
    page.get_by_role("button", name="Approve…").click()
    page.get_by_label("Your password").fill(password)
    typed = page.get_by_label("Number of meters that it reaches")
    decide = page.get_by_role("button", name="Approve batch")
    typed.fill(str(count + 1))
    expect(decide).to_be_disabled()
    typed.fill(str(count))
    decide.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
