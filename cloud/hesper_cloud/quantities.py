"""What people call the quantities that meters register, and how their units are written.

Logical names follow IEC 62056-61 (OBIS); unit codes follow the Blue Book's table of units
(IEC 62056-6-2, 4.3.2).
"""

LOAD_PROFILE = "1.0.99.1.0.255"
REGISTER_SNAPSHOT = "0.0.21.0.1.255"
RELAY = "0.0.96.3.10.255"  # output_state: 1 while the supply is connected
ACTIVE_ENERGY_IMPORT = "1.0.1.8.0.255"
ACTIVE_ENERGY_EXPORT = "1.0.2.8.0.255"
ACTIVE_POWER_IMPORT = "1.0.1.7.0.255"
ACTIVE_POWER_EXPORT = "1.0.2.7.0.255"
ENERGY_UNITS = frozenset({30, 31, 32})  # Wh, VAh, varh
_NET = frozenset({"16", "36", "56", "76"})  # value group C: of all phases, of each

NAMES = {
    ACTIVE_ENERGY_IMPORT: "Active energy import",
    ACTIVE_ENERGY_EXPORT: "Active energy export",
    "1.0.3.8.0.255": "Reactive energy import",
    "1.0.4.8.0.255": "Reactive energy export",
    "1.0.9.8.0.255": "Apparent energy import",
    "1.0.10.8.0.255": "Apparent energy export",
    ACTIVE_POWER_IMPORT: "Active power import",
    ACTIVE_POWER_EXPORT: "Active power export",
    "1.0.3.7.0.255": "Reactive power import",
    "1.0.4.7.0.255": "Reactive power export",
    "1.0.9.7.0.255": "Apparent power import",
    "1.0.13.7.0.255": "Power factor",
    "1.0.14.7.0.255": "Frequency",
    "1.0.31.7.0.255": "Current L1",
    "1.0.51.7.0.255": "Current L2",
    "1.0.71.7.0.255": "Current L3",
    "1.0.91.7.0.255": "Current neutral",
    "1.0.32.7.0.255": "Voltage L1",
    "1.0.52.7.0.255": "Voltage L2",
    "1.0.72.7.0.255": "Voltage L3",
    RELAY: "Relay",
}
SYMBOLS = {
    1: "a",
    2: "mo",
    3: "wk",
    4: "d",
    5: "h",
    6: "min",
    7: "s",
    8: "°",
    9: "°C",
    13: "m³",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    34: "C",
    35: "V",
    44: "Hz",
    45: "1/(Wh)",
    46: "1/(varh)",
    47: "1/(VAh)",
    56: "%",
    255: "",
}


def name(logical_name: str) -> str:
    """Returns a quantity's name; the logical name itself when it has none here."""
    return NAMES.get(logical_name, logical_name)


def is_register(logical_name: str, unit: int) -> bool:
    """Says whether a quantity is a register of electrical energy (value group D = 8)."""
    medium, _, _, processing, *_ = logical_name.split(".")
    return unit in ENERGY_UNITS and medium == "1" and processing == "8"


def is_net(logical_name: str) -> bool:
    """Says whether a quantity is import less export: it falls, and below zero, at a feed-in."""
    medium, _, measured, *_ = logical_name.split(".")
    return medium == "1" and measured in _NET


def is_of_interval(logical_name: str) -> bool:
    """Says whether a quantity is what one interval brought (D = 29), not a register's state."""
    medium, _, _, processing, *_ = logical_name.split(".")
    return medium == "1" and processing == "29"


def symbol(unit: int) -> str:
    """Returns a unit's symbol; empty for a count, ``unit N`` for one that is not in the table."""
    return SYMBOLS.get(unit, f"unit {unit}")


def figure(value: int, scaler: int) -> int | None:
    """Returns the nearest integer; None for what 64 bits do not hold, as no meter or fleet has."""
    found = whole(value, scaler)
    return found if -(2**63) <= found < 2**63 else None


def whole(value: int, scaler: int) -> int:
    """Returns ``value * 10**scaler`` rounded towards the nearest integer."""
    if scaler >= 0:
        return int(value * 10**scaler)
    step: int = 10**-scaler
    return (value + step // 2) // step
