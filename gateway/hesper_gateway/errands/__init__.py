"""What commands other than a relay's have the gateway do at a meter, each in turns of its line."""

from hesper_gateway.errands.clock import ClockSetter
from hesper_gateway.errands.clock_keeping import ClockKeeper
from hesper_gateway.errands.key_change import KeyChanger
from hesper_gateway.errands.meter_errands import MeterErrands
from hesper_gateway.errands.reading import Stores

__all__ = ["ClockKeeper", "ClockSetter", "KeyChanger", "MeterErrands", "Stores"]
