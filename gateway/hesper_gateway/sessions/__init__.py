"""What the gateway does with meters: associate, read incrementally, move a relay."""

from hesper_gateway.sessions.common import Common
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.sessions.session import MeterSession
from hesper_gateway.sessions.settings import client_system_title

__all__ = [
    "Common",
    "MeterSession",
    "Permit",
    "RelayAction",
    "RelayMove",
    "RelayState",
    "client_system_title",
]
