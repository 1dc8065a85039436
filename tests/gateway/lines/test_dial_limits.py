"""Limits on calls and messages that no clock gets around."""

import pytest
from hesper_gateway.errors import DialLimit
from hesper_gateway.lines.dial_limits import DAY_S, DialOut, Limits
from hesper_gateway.lines.ledger import Ledger


async def test_limits_hold_when_the_clock_is_set_forward(database, wall):
    """Without a clock that nobody sets, the hour that is skipped would give another share."""
    steady = type(wall)()
    ledger, limits = Ledger(database, wall, steady), Limits(per_hour=2, per_day=3)
    for _ in range(2):
        await ledger.spend(DialOut.CALL, "north", "M1", limits)
    wall.now += 3 * 3600
    with pytest.raises(DialLimit, match="2 calls in 1 h") as full:
        await ledger.spend(DialOut.CALL, "north", "M1", limits)
    assert full.value.wait_s == 3600
    wall.now += 48 * 3600
    steady.now += 3601
    await ledger.spend(DialOut.CALL, "north", "M1", limits)
    steady.now += 3601
    with pytest.raises(DialLimit, match="3 calls in 24 h") as full:
        await ledger.spend(DialOut.CALL, "north", "M1", limits)
    assert full.value.wait_s == DAY_S - 2 * 3601
    await ledger.spend(DialOut.MESSAGE, "north", "M1", limits)
    steady.now += DAY_S
    wall.now += DAY_S
    await ledger.spend(DialOut.CALL, "north", "M1", limits)


async def test_a_call_that_the_book_refuses_is_not_counted(database, wall):
    limits = Limits(per_hour=1, per_day=9)
    await Ledger(database, wall).spend(DialOut.CALL, "north", "M1", limits)
    again = Ledger(database, wall)
    for _ in range(3):
        with pytest.raises(DialLimit):
            await again.spend(DialOut.CALL, "north", "M1", limits)
    wall.now += 3601
    await again.spend(DialOut.CALL, "north", "M1", limits)
