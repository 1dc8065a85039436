"""Codes of the event logs, numbered as the IDIS companion specification does.

The standard log has every event; the others show those of one kind.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class EventCode(IntEnum):
    """What a row of an event log means."""

    POWER_DOWN = 1
    POWER_UP = 2
    CLOCK_ADJUSTED_OLD = 4
    CLOCK_ADJUSTED_NEW = 5
    CALENDAR_ACTIVATED = 9
    FIRMWARE_READY = 17
    FIRMWARE_ACTIVATED = 18
    STRONG_FIELD_DETECTED = 42
    NO_STRONG_FIELD = 43
    METER_COVER_OPENED = 44
    METER_COVER_CLOSED = 45
    ASSOCIATION_FAILED = 46
    KEYS_CHANGED = 48
    FIRMWARE_VERIFICATION_FAILED = 51
    MANUAL_DISCONNECTION = 60
    MANUAL_CONNECTION = 61
    REMOTE_DISCONNECTION = 62
    REMOTE_CONNECTION = 63
    LOCAL_DISCONNECTION = 64
    LIMITER_EXCEEDED = 65
    LIMITER_OK = 66
    DISCONNECTOR_FAILURE = 68
    VOLTAGE_SAG_L1 = 76
    VOLTAGE_NORMAL_L1 = 85
    CURRENT_REVERSAL = 91


FRAUD: Final = frozenset(
    {
        EventCode.STRONG_FIELD_DETECTED,
        EventCode.NO_STRONG_FIELD,
        EventCode.METER_COVER_OPENED,
        EventCode.METER_COVER_CLOSED,
        EventCode.ASSOCIATION_FAILED,
        EventCode.CURRENT_REVERSAL,
    }
)
DISCONNECTOR: Final = frozenset(range(EventCode.MANUAL_DISCONNECTION, 69))
POWER_QUALITY: Final = frozenset({*range(76, 91), EventCode.POWER_DOWN, EventCode.POWER_UP})
