"""The console on the double of the cloud's services."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from hesper_lab.ports import free_port
from nicegui import ui
from nicegui.functions.download import download
from nicegui.functions.navigate import Navigate
from nicegui.functions.notify import notify
from nicegui.testing.general import nicegui_reset_globals

sys.path.insert(0, str(Path(__file__).parent))

from console_double.app import create_app
from console_double.people import Console
from console_double.server import Server
from console_double.services import PASSWORD, DoubleServices
from hesper_lab import screenshots
from hesper_lab.screenshots import PATIENCE_MS, Seen, watch
from playwright.sync_api import Browser, BrowserContext, Page, expect

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def services() -> DoubleServices:
    """Fresh services over a fresh fleet."""
    return DoubleServices()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console() -> AsyncIterator[Console]:
    """One application for the module: NiceGUI is made of globals."""
    with nicegui_reset_globals():
        os.environ["NICEGUI_USER_SIMULATION"] = "true"
        services = DoubleServices()
        services.commands.STEP_S = 0.01
        app = create_app(services)
        try:
            async with app.router.lifespan_context(app):
                yield Console(services, httpx.ASGITransport(app))
        finally:
            os.environ.pop("NICEGUI_USER_SIMULATION", None)
            ui.navigate, ui.notify, ui.download = Navigate(), notify, download


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server(free_port())
    try:
        running.start()
        yield running
    finally:
        running.kill()  # one that was too slow to start, too


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with screenshots.browser() as opened:
        yield opened


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def desk(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser's profile: the first page in a new one costs as much as six in one that is used."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    yield context
    context.close()


@pytest.fixture
def role() -> str:
    """Who sits at the desk."""
    return "operator"


@pytest.fixture
def page(desk: BrowserContext, server: Server, seen: Seen, role: str) -> Iterator[Page]:
    """A new page with a session of its own; nothing is opened, nothing kept of earlier tests."""
    desk.clear_cookies()
    entered = {"username": role, "password": PASSWORD}
    answer = desk.request.post(f"{server.base}/login", form=entered, max_redirects=0)
    assert answer.status == httpx.codes.SEE_OTHER
    opened = desk.new_page()
    watch(opened, server.base, seen)
    yield opened
    opened.evaluate("try { localStorage.clear(); } catch { /* nothing was opened */ }")
    opened.close()
