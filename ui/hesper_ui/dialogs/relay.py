"""Cutting and restoring one supply: the request. Another person approves it (see `decide`)."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs import behind_relay
from hesper_ui.dialogs.sheet import Sheet, choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services import MeterDetail, RelayAction
from hesper_ui.views import relay


class RelayDialog:
    """Collects a reason and the serial's last digits; sends one request, however often clicked."""

    def __init__(
        self,
        desk: Desk,
        detail: MeterDetail,
        action: RelayAction,
        done: Callable[[], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._detail = detail
        self._action: RelayAction = action
        self._done = done
        second_person = relay.needs_second_person(detail, action)
        self._words = relay.words(action, detail.row.id, second_person=second_person)
        self._sheet: Sheet | None = None

    def open(self, host: ui.element) -> None:
        """Shows the dialog."""
        words = self._words
        with sheet(host, words.title) as page:
            self._sheet = page
            Text(words.consequence, "p")
            with box("dl", "facts"):
                behind_relay.draw(self._detail)
            reasons = list(relay.REASONS[self._action])
            self._reason = choice("Reason (required)", reasons, self._check)
            self._other = entry("What is the reason? (required)", self._check)
            self._other.set_visibility(False)
            self._digits = entry("Last 4 digits of the serial number (required)", self._check)
            self._digits.props("inputmode=numeric maxlength=4").mark("serial-tail")
            Text(words.note, "p", "meta")
            kind = "danger" if self._action == "disconnect" else "primary"
            page.buttons(words.keep, words.act, kind, lambda: self._send(page.key))
        self._check()

    def _written_reason(self) -> str:
        chosen = str(self._reason.value or "")
        return str(self._other.value or "").strip() if chosen == relay.OTHER else chosen

    def _check(self) -> None:
        self._other.set_visibility(self._reason.value == relay.OTHER)
        tail = str(self._digits.value or "").strip()
        complete = bool(self._written_reason()) and relay.tail_matches(self._detail.row.id, tail)
        if self._sheet is not None:
            self._sheet.allow(complete)

    async def _send(self, key: str) -> None:
        actor = await self._desk.actor()
        await self._desk.services.commands.request_relay(
            actor,
            self._detail.row.id,
            self._action,
            self._written_reason(),
            str(self._digits.value).strip(),
            key,
        )
        ui.notify(self._words.sent)
        await self._done()
