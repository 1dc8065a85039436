"""What is behind a relay, in every dialog that moves one: with the age of what may be old."""

from hesper_ui.elements import Text, ago, box
from hesper_ui.services import MeterDetail
from hesper_ui.views import relay
from hesper_ui.views.looks import relay_state
from hesper_ui.views.wording import MISSING, power
from hesper_ui.words import say


def draw(detail: MeterDetail) -> None:
    """Draws the rows into the list of facts that is open."""
    for name, text in relay.facts(detail):
        Text(name, "dt")
        Text(text, "dd")
    Text(say("Present load"), "dt")
    with box("dd"):
        _load(detail)
    Text(say("Relay"), "dt")
    with box("dd"):
        Text(say(relay_state(detail.row).word))
        Text(say(" · confirmed "), classes="meta")
        ago(detail.row.relay_confirmed_at)


def _load(detail: MeterDetail) -> None:
    number, unit = power(detail.load_w)
    Text(MISSING if detail.load_w is None else f"{number} {unit}")
    if detail.load_at is not None:
        Text(" · ", classes="meta")
        ago(detail.load_at)
