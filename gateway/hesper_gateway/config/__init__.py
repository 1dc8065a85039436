"""gateway.toml: which lines the gateway has, which meters hang on them, how often it reads.

The file is a border, so it is checked here once and completely; what leaves this package is
frozen. File names are relative to the folder of gateway.toml.
"""

from hesper_gateway.config.complaints import complaint
from hesper_gateway.config.fields import Record
from hesper_gateway.config.gateway import GatewayConfig, load
from hesper_gateway.config.lines import (
    CsdLine,
    DialInLine,
    LineConfig,
    ModemConfig,
    PushSerialLine,
    PushTcpLine,
    PushUdpLine,
    SerialLine,
    TcpLine,
    UdpLine,
)
from hesper_gateway.config.meters import (
    CeilingsConfig,
    ClockSyncConfig,
    MeterConfig,
    ScheduleConfig,
)
from hesper_gateway.config.uplink import BrokerConfig, FirmwareConfig, KeysConfig, OutboxConfig

__all__ = [
    "BrokerConfig",
    "CeilingsConfig",
    "ClockSyncConfig",
    "CsdLine",
    "DialInLine",
    "FirmwareConfig",
    "GatewayConfig",
    "KeysConfig",
    "LineConfig",
    "MeterConfig",
    "ModemConfig",
    "OutboxConfig",
    "PushSerialLine",
    "PushTcpLine",
    "PushUdpLine",
    "Record",
    "ScheduleConfig",
    "SerialLine",
    "TcpLine",
    "UdpLine",
    "complaint",
    "load",
]
