"""What can be broken while the fleet runs, by request or by a scenario; one word of help for each.

Most faults have a number, `value`, whose meaning their help tells; without one the default holds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hesper_sim.errors import FleetError


class Fault(StrEnum):
    """Everything that `hesper-sim fault` and a scenario can ask for."""

    SILENT = "silent"
    SLOW = "slow"
    SLOW_OCTETS = "slow_octets"
    NOISE = "noise"
    ECHO = "echo"
    OUTAGE = "outage"
    REBOOT = "reboot"
    POWER_CUT = "power_cut"
    WRONG_COUNTER = "wrong_counter"
    COUNTER_HANG_UP = "counter_hang_up"
    LOCK_OUT = "lock_out"
    BLOCKS_LOST = "blocks_lost"
    BLOCKS_DOUBLED = "blocks_doubled"
    BLOCKS_REORDERED = "blocks_reordered"
    CLOCK_DRIFT = "clock_drift"
    CLOCK_JUMP = "clock_jump"
    CLOCK_RATE = "clock_rate"
    DST_MISSING = "dst_missing"
    NULL_ROWS = "null_rows"
    PROFILE_REFUSED = "profile_refused"
    WRONG_NAME = "wrong_name"
    REGISTER_BACK = "register_back"
    REGISTER_WRAP = "register_wrap"
    SHORT_PDU = "short_pdu"
    REFUSE_WITH_LIST = "refuse_with_list"
    BARE_AARE = "bare_aare"
    RELAY_REJECTED = "relay_rejected"
    RELAY_WELDED = "relay_welded"
    VOLTAGE_SAG = "voltage_sag"
    COVER_OPENED = "cover_opened"
    MAGNETIC_FIELD = "magnetic_field"
    REVERSE_ENERGY = "reverse_energy"
    LINE_NOISE = "line_noise"
    LINE_ECHO = "line_echo"


HELP: Final[dict[Fault, str]] = {
    Fault.SILENT: "Requests arrive and nothing comes back.",
    Fault.SLOW: "Every answer comes `value` seconds late.",
    Fault.SLOW_OCTETS: "An answer leaves octet by octet, `value` milliseconds apart.",
    Fault.NOISE: "Up to `value` stray octets before every answer.",
    Fault.ECHO: "The meter's side repeats what it was sent, before it answers.",
    Fault.OUTAGE: "No power: nothing answers, nothing is latched, nothing is counted.",
    Fault.REBOOT: "Power is gone for `value` seconds; links end, associations are forgotten.",
    Fault.POWER_CUT: "Power goes when image block number `value` arrives, before it is kept.",
    Fault.WRONG_COUNTER: "The meter's own invocation counter falls back by `value`.",
    Fault.COUNTER_HANG_UP: "A counter that was used before ends the connection, without a word.",
    Fault.LOCK_OUT: "After `value` failed authentications no association opens any more.",
    Fault.BLOCKS_LOST: "Every `value`-th block of a long answer never comes.",
    Fault.BLOCKS_DOUBLED: "Every `value`-th block of a long answer is the one before once more.",
    Fault.BLOCKS_REORDERED: "Every `value`-th block of a long answer has the number after next.",
    Fault.CLOCK_DRIFT: "The clock is `value` seconds ahead until it is set.",
    Fault.CLOCK_JUMP: "The clock jumps by `value` seconds.",
    Fault.CLOCK_RATE: "The clock gains `value` seconds a day.",
    Fault.DST_MISSING: "The clock does not follow daylight saving.",
    Fault.NULL_ROWS: "Profile rows carry null-data where a value repeats or follows from the last.",
    Fault.PROFILE_REFUSED: "Nobody may read the rows of the load profile.",
    Fault.WRONG_NAME: "Another meter's logical device name answers: the address was given away.",
    Fault.REGISTER_BACK: "Energy registers show `value` Wh less than they did.",
    Fault.REGISTER_WRAP: "Energy registers stand `value` Wh before 2^32 and wrap.",
    Fault.SHORT_PDU: "The meter takes APDUs of `value` octets at most.",
    Fault.REFUSE_WITH_LIST: "GET with a list is refused.",
    Fault.BARE_AARE: "An accepting AARE leaves its user-information out.",
    Fault.RELAY_REJECTED: "The meter refuses to move its relay.",
    Fault.RELAY_WELDED: "The meter says that it disconnected, and the output stays on.",
    Fault.VOLTAGE_SAG: "All phases `value` permille low, outside EN 50160.",
    Fault.COVER_OPENED: "The cover was opened; closed again at the end.",
    Fault.MAGNETIC_FIELD: "A strong magnet is at the meter.",
    Fault.REVERSE_ENERGY: "Import and export are swapped: the meter was turned round.",
    Fault.LINE_NOISE: "Stray octets between the frames of a serial line.",
    Fault.LINE_ECHO: "A serial line repeats what the gateway sends.",
}
DEFAULTS: Final[dict[Fault, float]] = {
    Fault.SLOW: 3.0,
    Fault.SLOW_OCTETS: 2.0,
    Fault.NOISE: 6.0,
    Fault.REBOOT: 2.0,
    Fault.POWER_CUT: 5.0,
    Fault.WRONG_COUNTER: 1000.0,
    Fault.LOCK_OUT: 3.0,
    Fault.BLOCKS_LOST: 2.0,
    Fault.BLOCKS_DOUBLED: 2.0,
    Fault.BLOCKS_REORDERED: 2.0,
    Fault.CLOCK_DRIFT: 300.0,
    Fault.CLOCK_JUMP: 3600.0,
    Fault.CLOCK_RATE: 20.0,
    Fault.REGISTER_BACK: 1000.0,
    Fault.REGISTER_WRAP: 100.0,
    Fault.SHORT_PDU: 128.0,
    Fault.VOLTAGE_SAG: 160.0,
}
LINE_FAULTS: Final = frozenset({Fault.LINE_NOISE, Fault.LINE_ECHO})
LINK_FAULTS: Final = frozenset(
    {Fault.SILENT, Fault.OUTAGE, Fault.SLOW, Fault.SLOW_OCTETS, Fault.NOISE, Fault.ECHO}
)
"""Faults that a meter's end of a link carries out; see `links`."""


def parse(name: str) -> Fault:
    """Return the fault of this name; FleetError lists what there is."""
    try:
        return Fault(name.replace("-", "_"))
    except ValueError:
        known = ", ".join(Fault)
        raise FleetError(f"there is no fault {name!r}; there are {known}") from None
