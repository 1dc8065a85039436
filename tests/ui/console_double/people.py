"""People before the console, in NiceGUI's user simulation."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from hesper_ui.elements import Text
from nicegui import ui
from nicegui.testing import User

from console_double.services import PASSWORD, DoubleServices

PATIENCE_S = 60.0
HOW_OLD = r"Present load\n.+ k?W\n · \n\d+ s ago\nRelay\n.+\n · confirmed \n.+ ago"
"""How a dialog that moves a relay says what is behind it."""
_TRIES = 600  # ten a second, as long as the machine may need


class Person(User):
    """A user who waits for what is expected however busy the machine is, and no longer than it."""

    async def should_see(self, *args: Any, retries: int = _TRIES, **named: Any) -> None:
        await super().should_see(*args, retries=max(retries, _TRIES), **named)

    async def should_not_see(self, *args: Any, retries: int = _TRIES, **named: Any) -> None:
        await super().should_not_see(*args, retries=max(retries, _TRIES), **named)


class Console:
    """The application with any number of people before it."""

    def __init__(self, services: DoubleServices, transport: httpx.ASGITransport) -> None:
        self.services = services
        self._transport = transport

    @asynccontextmanager
    async def person(self, name: str, **more: str) -> AsyncIterator[User]:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
            answer = await client.post(
                "/login", data={"username": name, "password": PASSWORD} | more
            )
            assert answer.status_code == 303
            yield Person(client)


@contextmanager
def unbroken() -> Iterator[None]:
    """Fails where NiceGUI logs that a handler of ours raised: a person only sees that it did."""
    told: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("nicegui").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("nicegui").removeHandler(handler)
    assert told == []


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what the server does by itself."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def texts(user: User) -> str:
    """Returns all text on the page."""
    assert user.client is not None
    elements = user.client.elements.values()
    return "\n".join(e.text for e in elements if isinstance(e, Text) and e.text)


async def press(user: User, label: str) -> None:
    """Clicks the newest button with this label."""
    assert user.client is not None
    found = [e for e in user.client.elements.values() if isinstance(e, Text) and e.text == label]
    with user:
        listener = next(
            each
            for each in found[-1]._event_listeners.values()
            if each.type == "click" and each.handler
        )
        found[-1]._handle_event({"listener_id": listener.id, "args": {}})
    await asyncio.sleep(0)


def disabled(user: User, label: str) -> bool:
    assert user.client is not None
    found = [e for e in user.client.elements.values() if isinstance(e, Text) and e.text == label]
    return "disabled" in found[-1].props


async def fill(user: User, **values: object) -> None:
    """Writes into the newest fields with these markers; ``_`` stands for ``-``."""
    for marker, value in values.items():
        await user.should_see(marker=marker.replace("_", "-"), retries=20)
        with user:
            element = max(user.find(marker=marker.replace("_", "-")).elements, key=lambda e: e.id)
            assert isinstance(element, ui.input | ui.select | ui.textarea | ui.number)
            element.value = value
