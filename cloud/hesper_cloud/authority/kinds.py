"""The kinds of command that can be asked for, and what the authority must know of each.

One path leads from a wish to a signed command for all of them; where kinds differ, this table says
how. A kind that is not in it is not issued, whatever gateways could carry out.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hesper_contracts import jsonbody, parameters
from hesper_contracts.frame import Refused

from hesper_cloud.images.wish import ImageWish
from hesper_cloud.meter_keys.key_set import RenewKeys
from hesper_cloud.worded import worded

Kind = Literal[
    "relay.disconnect",
    "relay.reconnect",
    "relay.arm",
    "relay.read",
    "ping",
    "read.registers",
    "read.profile",
    "read.event_log",
    "read.conversation",
    "clock.sync",
    "tariff.special_days",
    "tariff.calendar",
    "limiter.write",
    "keys.change",
    "firmware.transfer",
    "firmware.activate",
    "tunnel.open",
    "gateway.restart",
    "gateway.configure",
    "gateway.update",
]
DISCONNECT: Kind = "relay.disconnect"
RECONNECT: Kind = "relay.reconnect"
ARM: Kind = "relay.arm"
READ: Kind = "relay.read"
READ_PROFILE: Kind = "read.profile"
READ_CONVERSATION: Kind = "read.conversation"
CALENDAR: Kind = "tariff.calendar"
CHANGE_KEYS: Kind = "keys.change"
TRANSFER: Kind = "firmware.transfer"
ACTIVATE: Kind = "firmware.activate"
UPDATE: Kind = "gateway.update"
RESTART: Kind = "gateway.restart"
CONFIGURE: Kind = "gateway.configure"


@dataclass(frozen=True, slots=True)
class Traits:
    """How one kind differs from the others.

    Attributes:
        reads: It changes nothing at the meter: no reason is asked for, and what was not answered
            is over, not unknown.
        moves: It may move the supply, so it excludes others that do on the same meter.
        cuts: It can cut the supply: charged to the disconnect budget when it is signed, never
            sent to a protected supply, and the end of the serial number is typed.
        always_two: No policy document lets one person do it.
        one_by_one: No batch asks for it, because what comes back is long.
        at_gateway: It is for a gateway itself and names no meter.
        on_known_relay: The relay must have been read not long ago.
        within_window: It must begin before its batch's window closes, not only leave by then.
        begin_s: For how long a gateway may begin it once it is queued, if the policy says less.
        takes_s: How long it may take after that, beside the policy's grace.
    """

    reads: bool = False
    moves: bool = False
    cuts: bool = False
    always_two: bool = False
    one_by_one: bool = False
    at_gateway: bool = False
    on_known_relay: bool = False
    within_window: bool = False
    begin_s: int = 0
    takes_s: int = 0


_LOOK = Traits(reads=True, begin_s=120)
_LONG_LOOK = Traits(reads=True, begin_s=300, takes_s=900)  # a profile over a slow line
_WRITE = Traits(begin_s=300, takes_s=300)

KINDS: Mapping[str, Traits] = {
    DISCONNECT: Traits(moves=True, cuts=True, on_known_relay=True),
    RECONNECT: Traits(moves=True),
    ARM: Traits(moves=True),
    READ: Traits(reads=True, moves=True),
    "ping": _LOOK,
    "read.registers": _LOOK,
    READ_PROFILE: _LONG_LOOK,
    "read.event_log": _LONG_LOOK,
    # A meter that does not answer takes long, and that is what it is asked for.
    READ_CONVERSATION: Traits(reads=True, one_by_one=True, begin_s=120, takes_s=120),
    "clock.sync": Traits(begin_s=120, takes_s=60),
    "tariff.special_days": _WRITE,
    CALENDAR: _WRITE,
    # A threshold or an action can cut a supply by and by, when nobody looks any more.
    "limiter.write": Traits(
        moves=True, cuts=True, always_two=True, on_known_relay=True, takes_s=60
    ),
    # Whoever has a meter's keys can do with it what its gateway can.
    CHANGE_KEYS: Traits(always_two=True, begin_s=300, takes_s=300),
    # An image travels for as long as a slow line needs, and a command takes it up where it stands.
    TRANSFER: Traits(always_two=True, begin_s=3 * 86_400, takes_s=600),
    ACTIVATE: Traits(always_two=True, within_window=True, begin_s=3_600, takes_s=3_600),
    UPDATE: Traits(
        at_gateway=True, always_two=True, within_window=True, begin_s=86_400, takes_s=3_600
    ),
    # Through a tunnel a tool can do what the meter lets it; on a long line many relays are read
    # before it opens, and again after it.
    "tunnel.open": Traits(moves=True, cuts=True, always_two=True, begin_s=300, takes_s=120),
    RESTART: Traits(at_gateway=True, begin_s=120, takes_s=300),
    # A configuration says which broker and which meters; the gateway tries it before it keeps it.
    CONFIGURE: Traits(at_gateway=True, always_two=True, begin_s=300, takes_s=900),
}


def _those(trait: str) -> frozenset[Kind]:
    return frozenset(kind for kind in get_args(Kind) if getattr(KINDS[kind], trait))


READING = _those("reads")
WRITING = frozenset(get_args(Kind)) - READING
MOVING = _those("moves")
CUTTING = _those("cuts")
ALWAYS_TWO = _those("always_two")
AT_GATEWAY = _those("at_gateway")


Wanted = parameters.Parameters | RenewKeys | ImageWish
"""What a command is told; of new keys nobody says more than which, of an image its hash."""


def checked(kind: str, given: Mapping[str, Any]) -> tuple[Wanted, dict[str, Any]]:
    """Returns the parameters of a kind, typed, and as the JSON in which they are kept and signed.

    Raises:
        Refused: the kind is not issued, or these are not its parameters.
    """
    if kind not in KINDS:
        raise Refused(worded("there is no command {kind!r}", kind=kind))
    try:
        typed: Wanted
        if kind == CHANGE_KEYS:
            typed = jsonbody.decode(jsonbody.encode(given), RenewKeys)
        elif parameters.is_about_image(kind):
            typed = jsonbody.decode(jsonbody.encode(given), ImageWish)
        else:
            typed = parameters.for_kind(kind, given)
    except Refused as refusal:
        raise Refused(
            worded("{kind} does not take these parameters: {refusal}", kind=kind, refusal=refusal)
        ) from None
    return typed, json.loads(jsonbody.encode(typed))
