"""Where the methods of each class begin above an object's base name (Blue Book part 2, by class).

Short names are 8 apart. Attribute n lies 8·(n−1) above the base name; the methods follow from an
offset that the Blue Book gives for every class and version, always beyond the last attribute. Where
this table is silent, a class has no methods or their short names are not known to us: nothing is
derived, as a wrong name might write an attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SHORT_NAME_STEP: Final = 8

_FIRST_METHOD: Final[Mapping[int, int | Mapping[int, int]]] = {
    3: 0x28,  # register
    4: 0x38,  # extended register
    5: 0x48,  # demand register
    6: 0x30,  # register activation
    7: 0x58,  # profile generic
    8: 0x60,  # clock
    9: 0x20,  # script table
    10: 0x20,  # schedule
    11: 0x10,  # special days table
    12: 0x20,  # association SN: the slots of methods 1 and 2 became attributes
    15: 0x60,  # association LN: room was left for attributes 10 and 11 of versions 2 and 3
    17: 0x20,  # SAP assignment
    18: 0x40,  # image transfer
    20: 0x50,  # activity calendar
    29: 0x38,  # auto connect
    40: {0: 0x38},  # push setup: attribute 8 of versions 1 and 2 lies there
    42: 0x60,  # IPv4 setup
    61: 0x28,  # register table
    64: {0: 0x28, 1: 0x30},  # security setup
    68: 0x30,  # arbitrator
    70: 0x20,  # disconnect control
    72: {0: 0x60, 1: 0x70},  # M-Bus client: version 1 has two attributes more
}


def first_method(class_id: int, version: int) -> int | None:
    """Return the offset of method 1 from the base name; None where it is not known."""
    offsets = _FIRST_METHOD.get(class_id)
    return offsets if offsets is None or isinstance(offsets, int) else offsets.get(version)
