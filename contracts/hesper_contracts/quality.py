"""Quality flags that travel beside every reading, kept as a bit set (unsigned 16 bit)."""

from enum import IntFlag


class Quality(IntFlag):
    """What is known to be doubtful about a reading. Zero: nothing.

    The gateway sets the flags of the time; the cloud's validation adds those of the value.
    """

    CLOCK_DOUBTFUL = 0x01
    CLOCK_INVALID = 0x02
    TIME_ASSUMED = 0x04
    TIME_FAR_OFF = 0x08
    OUT_OF_RANGE = 0x10
    OUT_OF_ORDER = 0x20
    ROLLOVER = 0x40
    CONFLICTING = 0x80
    REPORTED_INVALID = 0x100
    ESTIMATED = 0x200
    EDITED = 0x400
    FOREIGN_GATEWAY = 0x800
