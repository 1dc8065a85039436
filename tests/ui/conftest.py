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
from hesper_lab.screenshots import PATIENCE_MS, Seen, sign_in, watch
from playwright.sync_api import Browser, Page, expect

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


@pytest.fixture
def page(chromium: Browser, server: Server, seen: Seen) -> Iterator[Page]:
    """A signed-in operator's page on a desk."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    opened = context.new_page()
    watch(opened, server.base, seen)
    sign_in(opened, server.base, "operator", PASSWORD)
    yield opened
    context.close()
