"""Judges readings and sets their quality; never drops one.

- **range**: a value that its unit can hardly have (a low-voltage meter at 2 kV);
- **order**: an energy register that went backwards since the capture before;
- **rollover**: it did so as a register does that passed its last digit;
- **clock**: captured in the future, or longer ago than any profile buffer reaches, or with a clock
  status that says invalid or doubtful (IEC 62056-6-2, clock status bits 0 and 1).
"""

from dataclasses import replace

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.latest import LatestValues, present, value_before
from hesper_cloud.quantities import is_net, is_register
from hesper_cloud.stores.port import Block, Flags, Integers, Previous

AHEAD_S = 300
BEHIND_S = 400 * 86_400
_NOT_SPECIFIED = 0xFF
_MEGA = 10_000_000
_BOUNDS: dict[int, tuple[int, int]] = {
    27: (-_MEGA, _MEGA),  # W
    28: (-_MEGA, _MEGA),  # VA
    29: (-_MEGA, _MEGA),  # var
    30: (0, 10**12),  # Wh
    31: (0, 10**12),  # VAh
    32: (0, 10**12),  # varh
    33: (-10_000, 10_000),  # A
    35: (0, 1_000),  # V
    44: (40, 70),  # Hz
}
_SMALLEST_REGISTER = 100_000
_INT64 = np.iinfo(np.int64)
_NONE = np.zeros(0, dtype=bool)


def judged(block: Block, latest: LatestValues, now: int) -> Block:
    """Returns the block with quality flags added.

    Args:
        block: Rows, meter by meter, ascending in time.
        latest: What was committed last, to judge the first row of each meter by.
        now: Epoch seconds, to judge the meters' clocks by.
    """
    quality = block.quality.astype(np.int64)
    _judge_clocks(block, now, quality)
    previous = latest.previous(block)
    for place, quantity in enumerate(block.quantities):
        _mark(quality, _outside(block, place), Quality.OUT_OF_RANGE)
        if is_register(quantity.logical_name, quantity.unit) and not is_net(quantity.logical_name):
            _judge_order(block, place, previous, quality)
    return replace(block, quality=quality)


def _mark(quality: Integers, rows: Flags, flag: Quality) -> None:
    """Adds a flag to some rows, which mostly are none."""
    if rows.any():
        quality[rows] |= int(flag)


def _judge_clocks(block: Block, now: int, quality: Integers) -> None:
    captured, status = block.captured_at, block.clock_status
    far = (captured > now + AHEAD_S) | (captured < now - BEHIND_S)
    _mark(quality, far, Quality.TIME_FAR_OFF)
    if (status & 3).any():
        told = status != _NOT_SPECIFIED
        _mark(quality, told & (status & 1 > 0), Quality.CLOCK_INVALID)
        _mark(quality, told & (status & 2 > 0), Quality.CLOCK_DOUBTFUL)


def _outside(block: Block, place: int) -> Flags:
    quantity = block.quantities[place]
    bounds = _BOUNDS.get(quantity.unit)
    if bounds is None:
        return _NONE
    lowest, highest = (_scaled(bound, quantity.scaler) for bound in bounds)
    if is_net(quantity.logical_name):
        lowest = -highest
    outside: Flags = (block.values[place] < lowest) | (block.values[place] > highest)
    return outside if block.missing is None else outside & ~block.missing[place]


def _scaled(bound: int, scaler: int) -> int:
    exact = bound * 10**-scaler if scaler <= 0 else bound // 10**scaler
    return int(min(max(exact, _INT64.min), _INT64.max))


def _judge_order(block: Block, place: int, previous: Previous, quality: Integers) -> None:
    before, known = value_before(block, place, previous)
    values = block.values[place]
    for row in np.flatnonzero((values < before) & known & present(block, place)):  # rare
        rolled = _rolled_over(int(before[row]), int(values[row]))
        quality[row] |= int(Quality.ROLLOVER if rolled else Quality.OUT_OF_ORDER)


def _rolled_over(before: int, after: int) -> bool:
    """Says whether a fall looks like a register that passed its end.

    The end is that of its decimal digits (99 998 → 3) or of 32 bits.
    """
    return any(
        capacity >= _SMALLEST_REGISTER
        and before * 10 >= capacity * 9
        and 0 <= after * 10 <= capacity
        for capacity in (10 ** len(str(max(before, 0))), 1 << 32)
        if before < capacity
    )
