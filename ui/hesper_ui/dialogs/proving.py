"""Proving who one is, inside a dialog: the password again, and a code where there is a factor."""

from collections.abc import Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import entry
from hesper_ui.services import Proof


async def is_coded(desk: Desk) -> bool:
    """Says whether whoever is at the desk gives a code beside the password."""
    return await desk.services.decisions.has_factor(await desk.actor())


class Proving:
    """The fields, drawn where this is made; ``check`` is told of every change."""

    def __init__(self, coded: bool, check: Callable[[], object]) -> None:
        self._password = entry("Your password (required)", check, password=True)
        self._password.mark("approval-password")
        self._code: ui.input | None = None
        if coded:
            self._code = entry("Code of your second factor (required)", check)
            self._code.props("autocomplete=one-time-code maxlength=64").mark("approval-code")

    @property
    def complete(self) -> bool:
        """Says whether all that is asked has been given."""
        return bool(self._password.value) and (self._code is None or bool(self._text_of_code()))

    def proof(self) -> Proof:
        """Returns what was given."""
        return Proof(str(self._password.value or ""), self._text_of_code())

    def _text_of_code(self) -> str:
        return "" if self._code is None else str(self._code.value or "").strip()
