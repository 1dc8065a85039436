"""The checks by name and the quality codes that stand beside a value.

Two vocabularies, side by side. `Grade` is Green Button's QualityOfReading (NAESB ESPI 3.3,
espiDerived.xsd): one grade for a value. A code is IEC 61968-9's ReadingQualityType,
``system.category.index``: system 1 is the meter, 2 the head end; categories used here are 0 valid,
1 diagnostics, 2 power quality, 3 tamper, 4 collection, 5 reasonability, 6 validation, 7 edited,
8 estimated. A value has as many codes as there are things to say of it.
"""

from enum import IntEnum
from typing import NamedTuple

from hesper_contracts.quality import Quality


class Grade(IntEnum):
    """Green Button's QualityOfReading, those that are given here."""

    VALID = 0
    MANUALLY_EDITED = 7
    ESTIMATED_REFERENCE_DAY = 8
    ESTIMATED_LINEAR = 9
    QUESTIONABLE = 10
    RAW = 14
    VALIDATED = 17


class Check(NamedTuple):
    """One check: its usual name, the code of its failure, the thresholds it asks for.

    A check that is not ``doubted`` tells something about the supply or about how the value came,
    and leaves its grade alone.
    """

    name: str
    code: str
    thresholds: tuple[str, ...]
    text: str
    doubted: bool = True


CHECKS = (
    Check(
        "range",
        "2.5.256",
        ("highest_load_w", "highest_voltage_v", "highest_current_a"),
        "a value that the meter cannot have: mean load of an interval, voltage, current",
    ),
    Check(
        "spike",
        "2.6.3",
        ("spike_percent", "spike_least_wh"),
        "the day's highest interval exceeds the third highest by more than this share of it",
    ),
    Check(
        "sum",
        "2.6.0",
        ("sum_tolerance_percent", "sum_tolerance_wh"),
        "the sum of the day's interval energies differs from the register's advance",
    ),
    Check(
        "zero",
        "2.6.1",
        ("zero_h",),
        "a whole run of intervals without consumption",
        doubted=False,
    ),
    Check("missing", "2.5.259", (), "no value where one is due"),
    Check(
        "time",
        "2.4.3",
        ("time_tolerance_s",),
        "captured too far from the interval's end",
    ),
    Check(
        "rollover",
        "2.4.1",
        ("rollover_from_percent",),
        "the register passed its last digit, or 32 bits; the interval is counted across it",
        doubted=False,
    ),
    Check(
        "reverse",
        "2.3.4",
        ("feeds_in", "reverse_wh"),
        "the import register fell, or energy was exported where nobody feeds in",
    ),
    Check(
        "imbalance",
        "2.2.1",
        ("imbalance_voltage_percent", "imbalance_current_percent", "imbalance_least_a"),
        "one phase differs from the mean of the three by more than this share of it",
        doubted=False,
    ),
    Check(
        "power factor",
        "2.2.2",
        ("power_factor_least_percent", "power_factor_from_w"),
        "a power factor over 1, or too low while there is load",
        doubted=False,
    ),
    Check(
        "voltage",
        "2.2.0",
        (
            "nominal_voltage_v",
            "voltage_tolerance_percent",
            "voltage_lowest_percent",
            "voltage_share_percent",
        ),
        "EN 50160, 4.2.2, over a day: below the lowest or above the tolerance at any time, or "
        "outside of the tolerance in more than the share allows",
        doubted=False,
    ),
    Check(
        "stale",
        "2.3.5",
        ("stale_captures",),
        "a measured value repeats itself to the digit",
    ),
    Check("duplicate", "2.4.0", (), "more than one reading for one interval", doubted=False),
    Check("conflicting", "2.5.258", (), "readings of one identity with different values"),
)
BY_NAME = {check.name: check for check in CHECKS}

VALID_RAW = "1.0.0"
VALIDATED = "2.0.1"
EDITED = "2.7.0"
ESTIMATED = "2.8.0"
REFERENCE_DAY, LINEAR, EDIT = "reference day", "linear", "edit"
GRADES = {
    REFERENCE_DAY: Grade.ESTIMATED_REFERENCE_DAY,
    LINEAR: Grade.ESTIMATED_LINEAR,
    EDIT: Grade.MANUALLY_EDITED,
}

OF_FLAGS = {
    Quality.CLOCK_DOUBTFUL: "1.1.9",
    Quality.CLOCK_INVALID: "1.1.9",
    Quality.TIME_ASSUMED: "2.4.0",
    Quality.TIME_FAR_OFF: "2.4.9",
    Quality.OUT_OF_RANGE: "2.5.256",
    Quality.OUT_OF_ORDER: "2.3.4",
    Quality.ROLLOVER: "2.4.1",
    Quality.CONFLICTING: "2.5.258",
    Quality.REPORTED_INVALID: "1.5.257",
    Quality.ESTIMATED: "1.8.0",
    Quality.EDITED: "1.7.0",
}
_DOUBTED_FLAGS = (
    Quality.CLOCK_INVALID
    | Quality.TIME_FAR_OFF
    | Quality.OUT_OF_RANGE
    | Quality.OUT_OF_ORDER
    | Quality.CONFLICTING
    | Quality.REPORTED_INVALID
)


def of_flags(quality: int) -> tuple[str, ...]:
    """Returns the codes of the flags that came with a stored reading."""
    return tuple(dict.fromkeys(code for flag, code in OF_FLAGS.items() if quality & flag))


def is_doubted(quality: int, failed: tuple[str, ...]) -> bool:
    """Says whether a stored value is questionable: by its flags or by the checks that it failed."""
    return bool(quality & _DOUBTED_FLAGS) or any(BY_NAME[name].doubted for name in failed)
