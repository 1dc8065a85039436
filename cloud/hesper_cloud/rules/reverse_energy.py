"""Energy that runs backwards: a sign of tampering or wrong wiring, not of a solar roof.

Raised when the export register of a meter grows although it is below one percent of the import
register (a home that feeds in has more), or when the import register itself goes backwards.
Cleared when neither happened for ten minutes of the meter's own time.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.latest import present, value_before
from hesper_cloud.rules.alerts import Alerts, Gathered, Subject, Telling
from hesper_cloud.rules.standing import Standing
from hesper_cloud.rules.voltage import RECENT_S
from hesper_cloud.stores.port import Block, CommittedRows, Flags, Previous
from hesper_cloud.worded import worded

RULE = "reverse-energy"
IMPORT, EXPORT = "1.0.1.8.0.255", "1.0.2.8.0.255"
CALM_S = 600
_FEEDS_IN_RATIO = 100


class ReverseEnergyRule:
    """Follows committed rows, and compares them with those before."""

    def __init__(self, alerts: Alerts, clock: Callable[[], float] = time.time) -> None:
        self._alerts = alerts
        self._clock = clock
        self._last_reverse = dict.fromkeys(alerts.open_meters(RULE), 0)
        self._standing = Standing(alerts, RULE)

    def rows_committed(self, rows: CommittedRows) -> None:
        """Judges the new rows of a block."""
        block, accepted = rows.block, rows.accepted
        names = [quantity.logical_name for quantity in block.quantities]
        if IMPORT not in names:
            return
        if (standing := self._standing.anew()) is not None:
            self._last_reverse = {each: self._last_reverse.get(each, 0) for each in standing}
        import_ = names.index(IMPORT)
        recent = accepted & (block.captured_at >= self._clock() - RECENT_S)
        recent &= block.quality & int(Quality.TIME_FAR_OFF) == 0
        backwards = _falls(block, import_, rows.before)
        if EXPORT in names:
            backwards |= _exports(block, import_, names.index(EXPORT), rows.before)
        open_ = np.array([meter in self._last_reverse for meter in block.meters], dtype=bool)
        telling = np.flatnonzero(recent & (backwards | open_[block.meter_index]))
        if not telling.size:
            return
        gathered, last_reverse = Gathered(self._alerts), dict(self._last_reverse)
        for row in telling:
            meter, at = block.meters[block.meter_index[row]], int(block.captured_at[row])
            _judge(gathered, last_reverse, (meter, at), backwards=bool(backwards[row]))
        gathered.flush()
        self._last_reverse = last_reverse  # now that it is written


def _falls(block: Block, import_: int, previous: Previous) -> Flags:
    """Says where the import register fell; that a register did, any of them, is flagged."""
    before, known = value_before(block, import_, previous)
    fell: Flags = known & present(block, import_) & (block.values[import_] < before)
    return fell & (block.quality & int(Quality.OUT_OF_ORDER) > 0)


def _exports(block: Block, import_: int, export: int, previous: Previous) -> Flags:
    before, known = value_before(block, export, previous)
    if block.missing is not None:
        known &= ~block.missing[import_] & ~block.missing[export]
    exported = block.values[export] * 10.0 ** block.quantities[export].scaler
    imported = block.values[import_] * 10.0 ** block.quantities[import_].scaler
    feeds_in = exported * _FEEDS_IN_RATIO >= imported
    grew: Flags = known & (block.values[export] > before) & ~feeds_in
    return grew


def _judge(
    gathered: Gathered, last_reverse: dict[str, int], seen: tuple[str, int], *, backwards: bool
) -> None:
    meter, at = seen
    subject, when = Subject(RULE, meter=meter), datetime.fromtimestamp(at, UTC)
    if backwards:
        if meter not in last_reverse:
            text = worded("Energy runs backwards: wrong wiring or tampering.")
            gathered.raise_(Telling(subject, "critical", text, when))
        last_reverse[meter] = max(at, last_reverse.get(meter, 0))
    elif meter in last_reverse and at - last_reverse[meter] >= CALM_S:
        gathered.clear(subject, when)
        del last_reverse[meter]
