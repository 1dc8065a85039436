"""OBIS codes (IEC 62056-6-1) as logical names of six octets, each code spelled once here."""

from __future__ import annotations

import re
from typing import NewType

from hesper_dlms.errors import LocalError

LogicalName = NewType("LogicalName", bytes)
"""Six octets, A first."""

_FULL = re.compile(r"(\d{1,3})[.-](\d{1,3})[.:](\d{1,3})\.(\d{1,3})\.(\d{1,3})[.*](\d{1,3})")
_SHORT = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


def parse(code: str) -> LogicalName:
    """Return the logical name of `1.0.1.8.0.255`, `1-0:1.8.0*255` or `1-0:1.8.0` (F = 255).

    Raises:
        LocalError: The text is no OBIS code.
    """
    match = _FULL.fullmatch(code.strip()) or _SHORT.fullmatch(code.strip())
    groups = [int(group) for group in match.groups()] if match else []
    if len(groups) == 5:
        groups.append(255)
    if not groups or max(groups) > 255:
        raise LocalError(f"{code!r} is no OBIS code such as 1.0.1.8.0.255 or 1-0:1.8.0*255")
    return LogicalName(bytes(groups))


def text(logical_name: bytes) -> str:
    """Return `1.0.1.8.0.255` for the six octets of a logical name."""
    if len(logical_name) != 6:
        raise LocalError(f"a logical name has 6 octets, not {len(logical_name)}")
    return ".".join(str(octet) for octet in logical_name)


# Energy, import and export, total and by tariff
ACTIVE_ENERGY_IMPORT = parse("1.0.1.8.0.255")
ACTIVE_ENERGY_IMPORT_T1 = parse("1.0.1.8.1.255")
ACTIVE_ENERGY_IMPORT_T2 = parse("1.0.1.8.2.255")
ACTIVE_ENERGY_EXPORT = parse("1.0.2.8.0.255")
ACTIVE_ENERGY_EXPORT_T1 = parse("1.0.2.8.1.255")
ACTIVE_ENERGY_EXPORT_T2 = parse("1.0.2.8.2.255")
REACTIVE_ENERGY_IMPORT = parse("1.0.3.8.0.255")
REACTIVE_ENERGY_EXPORT = parse("1.0.4.8.0.255")
REACTIVE_ENERGY_Q1 = parse("1.0.5.8.0.255")
REACTIVE_ENERGY_Q2 = parse("1.0.6.8.0.255")
REACTIVE_ENERGY_Q3 = parse("1.0.7.8.0.255")
REACTIVE_ENERGY_Q4 = parse("1.0.8.8.0.255")
APPARENT_ENERGY_IMPORT = parse("1.0.9.8.0.255")
APPARENT_ENERGY_EXPORT = parse("1.0.10.8.0.255")

# Instantaneous
ACTIVE_POWER_IMPORT = parse("1.0.1.7.0.255")
ACTIVE_POWER_EXPORT = parse("1.0.2.7.0.255")
REACTIVE_POWER_IMPORT = parse("1.0.3.7.0.255")
REACTIVE_POWER_EXPORT = parse("1.0.4.7.0.255")
APPARENT_POWER_IMPORT = parse("1.0.9.7.0.255")
POWER_FACTOR = parse("1.0.13.7.0.255")
FREQUENCY = parse("1.0.14.7.0.255")
CURRENT_L1 = parse("1.0.31.7.0.255")
CURRENT_L2 = parse("1.0.51.7.0.255")
CURRENT_L3 = parse("1.0.71.7.0.255")
VOLTAGE_L1 = parse("1.0.32.7.0.255")
VOLTAGE_L2 = parse("1.0.52.7.0.255")
VOLTAGE_L3 = parse("1.0.72.7.0.255")

# Profiles
LOAD_PROFILE_1 = parse("1.0.99.1.0.255")
LOAD_PROFILE_2 = parse("1.0.99.2.0.255")
EVENT_LOG = parse("0.0.99.98.0.255")
EVENT_CODE = parse("0.0.96.11.0.255")
REGISTER_SNAPSHOT = parse("0.0.21.0.1.255")
PUSHED_VALUES = parse("0.7.25.9.0.255")

# The meter itself
CLOCK = parse("0.0.1.0.0.255")
LOGICAL_DEVICE_NAME = parse("0.0.42.0.0.255")
SERIAL_NUMBER = parse("0.0.96.1.0.255")
METER_TYPE = parse("0.0.96.1.7.255")
FIRMWARE_VERSION = parse("1.0.0.2.0.255")
DISCONNECT_CONTROL = parse("0.0.96.3.10.255")
PUSH_SETUP = parse("0.0.25.9.0.255")
IMAGE_TRANSFER = parse("0.0.44.0.0.255")

# Association and security
CURRENT_ASSOCIATION = parse("0.0.40.0.0.255")
SECURITY_SETUP = parse("0.0.43.0.0.255")
INVOCATION_COUNTER = parse("0.0.43.1.0.255")
SAP_ASSIGNMENT = parse("0.0.41.0.0.255")
