"""Quality of a reading as flags: the low octet is the gateway's, the rest is the cloud's."""

from enum import IntFlag


class Quality(IntFlag):
    """What is remarkable about a stored reading; none set means nothing was found."""

    RANGE = 0x0100  # a value outside what its unit can plausibly be
    ORDER = 0x0200  # a register that only grows went backwards
    ROLLOVER = 0x0400  # a register went backwards as one does that passed its last digit
    CLOCK = 0x0800  # the meter's clock was invalid, doubtful, ahead, or years behind
    CONFLICTING = 0x1000  # another version with other values exists for the same identity
    FOREIGN = 0x2000  # delivered by another gateway than the one the meter belongs to
