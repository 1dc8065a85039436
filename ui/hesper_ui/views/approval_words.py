"""What an approver is told of a command: its name in a word or two, and what may come of it."""

from hesper_ui.services import CommandRow
from hesper_ui.views import relay
from hesper_ui.words import later, say

_TUNNEL = later(
    "A vendor's program will reach this meter and all others on its line, for 15 minutes at most. "
    "It can do whatever a meter allows it, also cut the supply. It counts as a disconnect; where "
    "the relays stand is read before and after."
)
_LIMITER = later(
    "From now on the meter may cut this supply by itself, when it takes more than the threshold. "
    "It counts as a disconnect."
)
_CALENDAR = later(
    "The whole calendar of this meter is replaced: from then on it counts energy by these times. "
    "What was written is read back and compared before it counts."
)
_ARM = later(
    "The meter is made ready for its button: who presses it switches this supply on. Until then "
    "it stays off."
)
_KEYS = later(
    "This meter is given new keys, which nobody sees. The old ones are kept until the meter has "
    "shown that the new ones open it."
)
_TRANSFER = later(
    "The image is brought to this meter and verified there. The meter runs it only after an "
    "activation, which is approved on its own."
)
_ACTIVATE = later(
    "The meter begins anew with the image that was brought to it, and does not answer meanwhile. "
    "Its version is read back."
)
_GATEWAY = later(
    "The gateway begins anew, and its meters are not read meanwhile. A new configuration stays "
    "only if the broker is reached with it."
)
_UPDATE = later(
    "The gateway begins anew with the new version, and its meters are not read meanwhile. The "
    "version stays only if the broker is reached and a meter read with it."
)
_CHANGE = later("change")
_WORDS = {
    "tunnel.open": (later("tunnel"), _TUNNEL),
    "limiter.write": (later("limiter"), _LIMITER),
    "tariff.calendar": (later("calendar"), _CALENDAR),
    "tariff.special_days": (
        later("special days"),
        later("All special days of this meter are replaced, and read back."),
    ),
    "clock.sync": (
        later("clock"),
        later("The clock of this meter is set, within one capture period, and read back."),
    ),
    "relay.arm": (later("readiness"), _ARM),
    "keys.change": (later("change of keys"), _KEYS),
    "firmware.transfer": (later("transfer"), _TRANSFER),
    "firmware.activate": (later("activation"), _ACTIVATE),
    "gateway.restart": (_CHANGE, _GATEWAY),
    "gateway.configure": (_CHANGE, _GATEWAY),
    "gateway.update": (_CHANGE, _UPDATE),
}
_ANY = (
    later("command"),
    later("It leaves once it is approved; its title and the facts below say what it does."),
)


def what_follows(command: CommandRow) -> tuple[str, str]:
    """Returns what is approved, in a word or two, and what may come of it."""
    if command.kind == "relay.disconnect":
        text = relay.words("disconnect", command.meter, second_person=True).consequence
        return say("disconnect"), text
    if command.kind == "relay.reconnect":
        text = relay.words("reconnect", command.meter, second_person=True).consequence
        return say("reconnect"), text
    name, text = _WORDS.get(command.kind, _ANY)
    return say(name), say(text)
