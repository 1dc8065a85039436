"""What an energy register brought from one capture to the next, also where it began anew.

Where the checks have seen the values, their verdict says whether a register that fell had passed
its last digit, as the energy book has it. Values that nobody has judged are held against the
thresholds that apply without settings, and of them none has passed it over more than a period, or
a gap that is interpolated: longer, and the meter may have been exchanged.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from hesper_cloud.exports.curves import Value
from hesper_cloud.quantities import is_net, is_register
from hesper_cloud.stores.port import Quantity
from hesper_cloud.thresholds import Estimation, Thresholds
from hesper_cloud.validation.checks import capacity_passed
from hesper_cloud.validation.codes import BY_NAME
from hesper_cloud.validation.misread import misread_of

LONGEST_DAY_S = 25 * 3600
_LIMITS, _INTERPOLATED_S = Thresholds(), Estimation().interpolate_up_to_s
_ROLLOVER, _REVERSE = BY_NAME["rollover"].name, BY_NAME["reverse"].code
_JOULE = 25
_LATTER_HALF = 50
"""Percent of its range that a register has counted at least which is known to have passed its end.
"""


def advance(quantity: Quantity, before: Value, after: Value, period_s: int) -> int | None:
    """Returns the advance in the quantity's steps; None where it cannot be told.

    That is where a register fell and did not pass its last digit: it was exchanged, or misread.
    """
    grown = after.value - before.value
    if grown >= 0 or is_net(quantity.logical_name):
        return grown
    judged = after.failed if is_register(quantity.logical_name, quantity.unit) else None
    if judged is not None:
        passed = capacity_passed(before.value, after.value, _LATTER_HALF)
        return grown + passed if passed and _ROLLOVER in judged else None
    passed = capacity_passed(before.value, after.value, _LIMITS.rollover_from_percent)
    length_s = after.captured_at - before.captured_at
    if not passed or _REVERSE in after.codes or length_s > max(period_s, _INTERPOLATED_S):
        return None
    return grown + passed if _can_be(quantity, grown + passed, length_s) else None


def across(before: tuple[Quantity, Value], after: tuple[Quantity, Value]) -> Value | None:
    """Returns the advance between captures in different scalers, in the finer one.

    The value stands at the end of the interval and has its grade. None where no load can have made
    it: then one of the scalers is wrong.
    """
    finer = min(before[0], after[0], key=lambda quantity: quantity.scaler)
    begin, end = (
        value._replace(value=value.value * int(10 ** (quantity.scaler - finer.scaler)))
        for quantity, value in (before, after)
    )
    grown, length_s = end.value - begin.value, end.captured_at - begin.captured_at
    return end._replace(value=grown) if grown >= 0 and _can_be(finer, grown, length_s) else None


def is_from_nowhere(quantity: Quantity, grown: int, values: Sequence[Value], place: int) -> bool:
    """Says whether an advance begins or ends where the register does not stand, and is no energy.

    That is a leap that no load can make, to above what it shows within the next day or from below
    what it showed within the last: it was read wrong. Where a register may fall anyway, every such
    leap is one.

    Args:
        quantity: The register.
        grown: Its advance.
        values: What it showed, ascending in time.
        place: Where in these the advance ends.
    """
    begin, end = values[place - 1 : place + 1]
    if _can_be(quantity, abs(grown), end.captured_at - begin.captured_at):
        return False
    first = bisect_left(values, begin.captured_at - LONGEST_DAY_S, key=_when)
    last = bisect_right(values, end.captured_at + LONGEST_DAY_S, key=_when)
    begins_below = any(each.value > begin.value for each in values[first:place])
    ends_above = any(each.value < end.value for each in values[place:last])
    return begins_below or ends_above or is_net(quantity.logical_name)


def misread(quantity: Quantity, values: Sequence[Value]) -> list[bool]:
    """Says which values of a register, ascending in time, those around them contradict."""
    if is_net(quantity.logical_name):
        return [False] * len(values)
    return misread_of([each.value for each in values])


def _when(value: Value) -> int:
    return value.captured_at


def _can_be(quantity: Quantity, grown: int, length_s: int) -> bool:
    """Says whether a load can have made an advance."""
    finer = int(10 ** max(-quantity.scaler, 0))
    joules = grown * int(10 ** max(quantity.scaler, 0)) * (1 if quantity.unit == _JOULE else 3600)
    return joules <= _LIMITS.highest_load_w * length_s * finer
