"""A part of a page that can be asked to look again.

Loading and drawing are apart: when a service refuses, the old picture stays and a line says why;
when nothing changed, nothing is drawn, so focus and scroll position stay where they are. A click
may be on its way while its button is drawn anew: the drawing before goes on hearing for a while.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.elements import box, button
from hesper_ui.services import Actor, ServiceError
from hesper_ui.services.answering import answered
from hesper_ui.states import notice
from hesper_ui.views.wording import sentence
from hesper_ui.words import say

T = TypeVar("T")
HEARS_S = 5.0
"""How long a drawing hears what was clicked in it after another took its place."""


class Part(Generic[T]):
    """One region: ``load`` asks as whoever is at the desk now, ``draw`` shows the answer."""

    def __init__(
        self, desk: Desk, load: Callable[[Actor], Awaitable[T]], draw: Callable[[T], None]
    ) -> None:
        self._desk = desk
        self._load = load
        self._draw = draw
        self._shown: T | None = None
        self._complaint = box("div", "fold")
        self._area = box("div", "live-area fold")

    async def show(self) -> None:
        """Loads for the first time, where the page is nothing without this part.

        Raises:
            ServiceError: what the service refused with; the page is replaced by it.
        """
        self._take(await self._asked())

    async def refresh(self) -> None:
        """Loads again and draws if the answer differs from what is shown."""
        try:
            answer = await self._asked()
        except ServiceError as refusal:
            self._complain(say("Not up to date: {why}", why=sentence(refusal)))
            return
        self._complain("")
        self._take(answer)

    async def _asked(self) -> T:
        with answered():
            return await self._load(await self._desk.actor())

    def _take(self, answer: T) -> None:
        if answer == self._shown or self._area.is_deleted:
            return
        self._shown = answer
        self._put_aside()
        with self._area:
            self._draw(answer)

    def _put_aside(self) -> None:
        """Takes the drawing off the page; its buttons act until the last clicks have come."""
        drawn = list(self._area)
        with self._area:
            aside = box()
        for element in drawn:
            element.move(aside)
        self._area.default_slot.children.remove(aside)
        asyncio.get_running_loop().call_later(HEARS_S, _forget, aside)

    def _complain(self, text: str) -> None:
        if self._complaint.is_deleted:
            return
        self._complaint.clear()
        if text:
            with self._complaint, notice("unknown", text):
                button("Try again", self.refresh, "small")


def _forget(aside: ui.element) -> None:
    if not aside.is_deleted:  # with the whole page
        aside.client.remove_elements(aside.descendants(include_self=True))


def watch(kinds: str, look: Callable[[], Awaitable[None]], meter: str | None = None) -> None:
    """Looks again whenever a live frame carries one of ``kinds`` (of this meter)."""

    async def changed() -> None:
        await look()

    watcher = box("div", data_watch=kinds, data_meter=meter, hidden=True)
    watcher.on("changed", changed, args=[])


def look_every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    """Looks again by the clock, for what no live frame announces."""
    ui.timer(seconds, look, immediate=False)
