"""Pictures of the console, in dark and light, on a desk and on a phone.

Needs Playwright's Python package and the system's Chromium; asks nothing of the network but the
console itself, and tells if a page does. ``make`` returns what it saw for the caller to judge::

    python -m hesper_lab.screenshots http://127.0.0.1:18080 operator PASSWORD-FILE pictures/
"""

import argparse
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hesper_ui.places import declared
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = (1440, 900), (390, 844)
PATIENCE_MS = 120_000
_COLOURS = 128
_ONE_OF_EACH = {  # the list in which one is found, and how its address begins; the meter last
    "gateway": ("/gateways", "/gateways/"),
    "meter": ("/meters", "/meters/HES"),
}
_SITTINGS = (("", DESK, ("dark", "light")), ("phone-", PHONE, ("dark",)))


@dataclass(slots=True)
class Seen:
    """What went wrong while pictures were taken, and where they are."""

    pictures: list[Path] = field(default_factory=list)
    external_requests: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sitting:
    """One browser context: a size and a theme, signed in."""

    page: Page
    name: str
    base: str
    folder: Path
    seen: Seen

    def shoot(self, place: str, *, full: bool = False) -> None:
        """Waits until the page is live and drawn, then takes the picture."""
        settle(self.page)
        self.page.wait_for_load_state("networkidle")
        path = self.folder / f"{place}-{self.name}.png"
        _keep(self.page.screenshot(full_page=full), path)
        self.seen.pictures.append(path)

    def go(self, address: str) -> None:
        """Opens an address of the console."""
        self.page.goto(self.base + address)


def _keep(octets: bytes, path: Path) -> None:
    """Writes a picture in 128 colours: a third of the octets.

    The colours that cover most differences are kept, so that few dots of a warning stay what they
    are; a median would make them those of an alarm.
    """
    with Image.open(io.BytesIO(octets)) as picture:
        few = picture.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
        few.save(path, optimize=True)


def settle(page: Page) -> None:
    """Waits for live data, for the bones of the page to be gone, and for a frame to be painted."""
    page.wait_for_selector("html[data-link=live]", state="attached", timeout=PATIENCE_MS)
    page.wait_for_selector(".page h1", timeout=PATIENCE_MS)
    page.wait_for_function("!document.querySelector('.bone')", timeout=PATIENCE_MS)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def sign_in(page: Page, base: str, username: str, password: str) -> None:
    """Signs in through the plain form."""
    page.goto(f"{base}/login")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(re.compile(r"^(?!.*/login)"), timeout=PATIENCE_MS)


def watch(page: Page, base: str, seen: Seen) -> None:
    """Notes every request that leaves the console's own host, and every error it logs."""
    host = urlsplit(base).netloc

    def requested(url: str) -> None:
        if urlsplit(url).scheme in {"http", "https", "ws", "wss"} and urlsplit(url).netloc != host:
            seen.external_requests.append(url)

    page.on("request", lambda request: requested(request.url))
    page.on("websocket", lambda socket: requested(socket.url))
    page.on("pageerror", lambda error: seen.console_errors.append(str(error)))
    page.on(
        "console",
        lambda line: seen.console_errors.append(line.text) if line.type == "error" else None,
    )


@contextmanager
def browser() -> Iterator[Browser]:
    """Opens the system's Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()


def _context(opened: Browser, size: tuple[int, int], theme: str) -> BrowserContext:
    phone = size == PHONE
    return opened.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        has_touch=phone,
        device_scale_factor=2 if phone else 1,
    )


def make(base: str, username: str, password: str, folder: Path) -> Seen:
    """Takes all pictures into ``folder``; returns them with what should not have happened."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = Seen()
    with browser() as opened:
        for size_name, size, themes in _SITTINGS:
            for theme in themes:
                context = _context(opened, size, theme)
                page = context.new_page()
                watch(page, base, seen)
                sitting = Sitting(page, f"{size_name}{theme}", base, folder, seen)
                page.goto(f"{base}/login")
                path = folder / f"login-{sitting.name}.png"
                _keep(page.screenshot(), path)
                seen.pictures.append(path)
                sign_in(page, base, username, password)
                _tour(sitting)
                context.close()
    return seen


def places() -> dict[str, str]:
    """Returns every place of the console that needs no name in its address, by a file's name."""
    plain = [place.path for place in declared() if "{" not in place.path]
    return {path.strip("/").replace("/", "-") or "overview": path for path in plain}


def _tour(sitting: Sitting) -> None:
    for place, address in places().items():
        sitting.go(address)
        sitting.shoot(place)
    for place, (address, begins) in _ONE_OF_EACH.items():
        sitting.go(address)
        settle(sitting.page)
        first = sitting.page.locator(f"a[href^='{begins}'] >> visible=true").first
        first.wait_for(timeout=PATIENCE_MS)
        sitting.go(first.get_attribute("href") or address)
        sitting.shoot(place, full=True)
    _trace(sitting)
    ask = sitting.page.get_by_role("button", name="Disconnect supply…")
    if ask.count() and ask.is_enabled():
        ask.click()
        sitting.page.get_by_role("button", name="Keep connected").wait_for(timeout=PATIENCE_MS)
        sitting.shoot("disconnect")


def _trace(sitting: Sitting) -> None:
    """Takes a picture of the trace on a meter's page; where there is none yet, asks for one."""
    said = sitting.page.locator("[data-said]")
    ask = sitting.page.get_by_role("button", name="Trace the line now")
    if not said.count() and ask.count() and ask.is_enabled():
        ask.click()
        said.first.wait_for(timeout=PATIENCE_MS)
    if said.count():
        sitting.page.locator("[data-said] summary").first.click()
        sitting.page.get_by_role("heading", name="Decoded trace").scroll_into_view_if_needed()
        sitting.shoot("meter-trace")


def main() -> None:
    """Takes pictures from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("base", help="address of the console, e.g. http://127.0.0.1:18080")
    parser.add_argument("username")
    parser.add_argument("password_file", type=Path, help="file with the password on its first line")
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    password = asked.password_file.read_text().splitlines()[0]
    seen = make(asked.base.rstrip("/"), asked.username, password, asked.folder)
    for path in seen.pictures:
        sys.stdout.write(f"{path}\n")
    for trouble in (*seen.external_requests, *seen.console_errors):
        sys.stderr.write(f"{trouble}\n")
    sys.exit(1 if seen.external_requests or seen.console_errors else 0)


if __name__ == "__main__":
    main()
