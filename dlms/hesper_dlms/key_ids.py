"""The keys that security setup (class 64) changes, as key transfer and agreement number them."""

from enum import IntEnum


class KeyId(IntEnum):
    """Which key it is about."""

    GLOBAL_UNICAST_ENCRYPTION = 0
    GLOBAL_BROADCAST_ENCRYPTION = 1
    AUTHENTICATION = 2
    MASTER = 3
