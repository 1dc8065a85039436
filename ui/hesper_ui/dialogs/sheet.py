"""The sheet that every dialog is written on."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nicegui import ui

from hesper_ui import drawings
from hesper_ui.elements import Text, block, box, button
from hesper_ui.services import CommandRow, ServiceError, Unavailable
from hesper_ui.services.answering import answered
from hesper_ui.views.wording import sentence
from hesper_ui.words import say


@dataclass(slots=True)
class Sheet:
    """One open dialog: a title, what is between, a complaint line, and two buttons.

    ``key`` names what is asked with it, however often the button is clicked.
    """

    dialog: ui.dialog
    complaint: Text | None = None
    confirm: Text | None = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    _sent: bool = field(default=False)

    def buttons(self, keep: str, act: str, kind: str, send: Callable[[], Awaitable[None]]) -> None:
        """Draws the complaint line and both buttons; the one that changes nothing has the focus."""

        async def once() -> None:
            if self._sent:
                return
            self._sent = True
            await self._attempt(send)

        self.complaint = Text("", "p", "complaint", role="alert")
        with box("div", "buttons"):
            button(keep, self.dialog.close, autofocus=True)
            self.confirm = button(act, once, kind, acts=True)

    def allow(self, allowed: bool) -> None:
        """Enables the acting button, or not yet."""
        if self.confirm is not None:
            block(self.confirm, not allowed or self._sent)

    async def _attempt(self, send: Callable[[], Awaitable[None]]) -> None:
        self.allow(False)
        try:
            with answered():
                await send()
        except ServiceError as refusal:
            self._sent = False
            self.key = key_after(refusal, self.key)
            self.allow(True)
            again = " " + say("You may try again.") if isinstance(refusal, Unavailable) else ""
            if self.complaint is not None:
                self.complaint.text = sentence(refusal) + again
            return
        self.dialog.close()


def key_after(refusal: ServiceError, key: str) -> str:
    """Returns the key of the next try: the same while nobody knows whether this one arrived.

    What was refused stays so under its key, whatever is corrected.
    """
    return key if isinstance(refusal, Unavailable) else uuid.uuid4().hex


@contextmanager
def sheet(host: ui.element, title: str, *, wide: bool = False) -> Any:
    """Opens a dialog; it belongs to ``host``, and is gone once it is closed."""
    title = say(title)
    with host:
        dialog = ui.dialog()
    dialog.props["aria-label"] = title
    dialog.on("hide", dialog.delete, args=[])
    with dialog, ui.card().classes("dialog wide" if wide else "dialog"):
        Text(title, "h2")
        yield Sheet(dialog)
    dialog.open()


def choice(
    label: str,
    options: Sequence[str],
    on_change: Callable[[], object],
    names: Mapping[str, str] | None = None,
    value: str | None = None,
) -> ui.select:
    """A choice of one from a few; ``names`` are what is shown for them, in English."""
    said = {option: say((names or {}).get(option, option)) for option in options}
    select = ui.select(said, value=value, label=say(label), on_change=on_change)
    return select.props(f'outlined dense dropdown-icon="{drawings.ARROW_DOWN}" options-dense')


def entry(
    label: str, on_change: Callable[[], object], *, password: bool = False, value: str = ""
) -> ui.input:
    """One line of text, kept out of the browser's memory of forms unless it is a password.

    What it begins with is no change: a form's check may need fields that are made after this one.
    """
    line = ui.input(say(label), value=value, password=password, on_change=on_change)
    complete = "current-password" if password else "off"
    return line.props(f"outlined dense autocomplete={complete} maxlength=200")


def asking(
    send: Callable[[str], Awaitable[CommandRow]], done: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    """Wraps what a plain button asks for under a key: one command at a time, however often clicked.

    Once that one has ended, or was refused, the next click asks anew.
    """
    key, is_asked = uuid.uuid4().hex, False

    async def ask() -> None:
        nonlocal key, is_asked
        used, is_repeat = key, is_asked
        try:
            made = await send(used)
            if is_repeat and not made.is_open:
                key = uuid.uuid4().hex if key == used else key
                await send(key)
        except ServiceError as refusal:
            key, is_asked = key_after(refusal, key), False
            raise
        is_asked = True
        await done()

    return attempted(ask)


def attempted(action: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Wraps an action of a plain button: a service's refusal is shown, not lost."""

    async def attempt() -> None:
        try:
            with answered():
                await action()
        except ServiceError as refusal:
            ui.notify(sentence(refusal))

    return attempt
