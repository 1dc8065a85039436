"""Codes of the standard event log, numbered as the IDIS companion specification does."""

from __future__ import annotations

from enum import IntEnum


class EventCode(IntEnum):
    """What a row of the event log means."""

    POWER_DOWN = 1
    POWER_UP = 2
    CLOCK_ADJUSTED_OLD = 4
    CLOCK_ADJUSTED_NEW = 5
    METER_COVER_OPENED = 44
    METER_COVER_CLOSED = 45
    REMOTE_DISCONNECTION = 62
    REMOTE_CONNECTION = 63
    DISCONNECTOR_FAILURE = 68
    VOLTAGE_SAG_L1 = 76
    VOLTAGE_NORMAL_L1 = 85
    CURRENT_REVERSAL = 91
