"""How numbers and units are shown to whoever looks: chosen here, kept in their browser."""

from hesper_ui.elements import Text, box, panel
from hesper_ui.fields import choices
from hesper_ui.tongues import AUTOMATIC
from hesper_ui.views.wording import power, scaled, shifted
from hesper_ui.words import current, later, say

UNITS = {
    AUTOMATIC: later("Automatic"),
    "base": "Wh, W",
    "kilo": "kWh, kW",
    "mega": "MWh, MW",
}
SIGNS = {
    AUTOMATIC: later("As the language"),
    "point": later("Point"),
    "comma": later("Comma"),
}
_SHOWN_WH, _SHOWN_W = 12_345_678, 1_234


def draw() -> None:
    """Draws the choices, and what a register and a load look like with them."""
    tongue = current()
    with panel("How it is shown to you", "kept in this browser"), box("div", "stack"):
        with box("div", "setting"):
            choices("Units of energy and power", UNITS, data="units", chosen=tongue.units)
        with box("div", "setting"):
            choices("Decimal sign", SIGNS, data="decimal", chosen=tongue.signs)
        shift, symbol = shifted(_SHOWN_WH, 0, "Wh")
        number, unit = power(_SHOWN_W)
        energy = f"{scaled(_SHOWN_WH, -shift)} {symbol}"
        words = "A register then reads {energy}, a load {power}. Charts stay in kW."
        Text(say(words, energy=energy, power=f"{number} {unit}"), "p", "meta")
