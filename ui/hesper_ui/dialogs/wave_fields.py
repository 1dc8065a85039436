"""The fields in which a campaign, or an activation, says in which waves it leaves."""

from collections.abc import Callable

from nicegui import ui

from hesper_ui.dialogs.sheet import entry
from hesper_ui.elements import Text, box
from hesper_ui.views import firmware
from hesper_ui.words import say


class WaveFields:
    """Shares of the waves and the time between them; asked for when the form is sent."""

    def __init__(self, check: Callable[[], object]) -> None:
        """Draws the fields, filled with 1 and 10 percent and an hour between."""
        words = "1 % first, then 10 %, then the rest; a wave that fails too often ends it there."
        Text(say(words), "p", "meta lead")
        shares = ", ".join(str(share) for share in firmware.WAVES)
        with box("div", "fields"):
            self._shares = entry("Waves before the rest, %", check, value=shares).mark("waves")
            label = "Minutes between waves; empty: a person lets the next begin"
            self._soak = ui.number(
                say(label), value=firmware.SOAK_S // 60, precision=0, min=0, max=43_200
            )
            self._soak.props("outlined dense clearable").mark("soak")

    def terms(self) -> dict[str, object]:
        """Returns the waves as services take them.

        Raises:
            Invalid: the shares are none.
        """
        minutes = self._soak.value
        return {
            "waves": firmware.shares(str(self._shares.value or "")),
            "soak_s": None if minutes in (None, "") else round(float(minutes) * 60),
        }
