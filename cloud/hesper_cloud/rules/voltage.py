"""Voltage outside nominal ± tolerance (EN 50160:2010, 4.2.2), with hysteresis.

Raised by the first reading with a phase outside the band, cleared by the first with every phase
inside a band that is one percent narrower. Only readings of the last hour count: what is read late
belongs to history. A second or third phase near zero is a phase that a meter does not have.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.latest import present
from hesper_cloud.rules.alerts import Alerts, Gathered, Subject, Telling
from hesper_cloud.rules.built_in import VoltageBand
from hesper_cloud.rules.standing import Standing
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Block, CommittedRows, Flags, Quantity
from hesper_cloud.worded import worded

RULE = "voltage"
RECENT_S = 3600
_VOLT = 35
_PHASES = {"1.0.32.7.0.255": "L1", "1.0.52.7.0.255": "L2", "1.0.72.7.0.255": "L3"}
_NOT_CONNECTED_V = 10
_HYSTERESIS_PERCENT = 1
_UNBELIEVABLE = int(Quality.TIME_FAR_OFF | Quality.OUT_OF_RANGE)


class VoltageRule:
    """Follows committed rows."""

    def __init__(
        self,
        alerts: Alerts,
        settings: RuleSettings | VoltageBand,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._alerts = alerts
        self._settings = settings
        self._clock = clock
        self._raised = alerts.open_meters(RULE)
        self._standing = Standing(alerts, RULE)
        self._version = settings.version if isinstance(settings, VoltageBand) else 0

    def rows_committed(self, rows: CommittedRows) -> None:
        """Judges the new rows of a block."""
        block = rows.block
        places = [p for p, q in enumerate(block.quantities) if q.logical_name in _PHASES]
        if not places or not self._is_on():
            return
        if (standing := self._standing.anew()) is not None:
            self._raised = standing
        outside = self._outside_band(block, places)
        recent = rows.accepted & (block.captured_at >= self._clock() - RECENT_S)
        recent &= block.quality & _UNBELIEVABLE == 0
        touched = {block.meters[meter] for meter in block.meter_index[recent & outside]}
        watched = self._raised | touched
        if not watched:
            return
        watching = np.array([meter in watched for meter in block.meters], dtype=bool)
        recent &= watching[block.meter_index]
        self._tell(block, places, recent & outside, recent & self._well_inside(block, places))

    def _tell(self, block: Block, places: list[int], outside: Flags, inside: Flags) -> None:
        gathered, raised = Gathered(self._alerts), set(self._raised)
        for row in np.flatnonzero(outside | inside):
            if outside[row]:
                self._outside(block, int(row), places, (gathered, raised))
            else:
                self._inside(block, int(row), (gathered, raised))
        gathered.flush()
        self._raised = raised  # now that it is written

    def _is_on(self) -> bool:
        """Says whether to judge; whoever edited the band has cleared what was raised before."""
        band = self._settings
        if not isinstance(band, VoltageBand):
            return True
        if not band.is_on:
            self._raised = set()
        elif band.version != self._version:
            self._raised = self._alerts.open_meters(RULE)
        self._version = band.version
        return band.is_on

    def _outside_band(self, block: Block, places: list[int]) -> Flags:
        """Returns the rows with a phase outside the band."""
        outside = np.zeros(block.row_count, dtype=bool)
        for place in places:
            beyond = self._beyond(block, place, 0)
            if beyond.any():
                outside |= beyond & _counting(block, place)
        return outside

    def _well_inside(self, block: Block, places: list[int]) -> Flags:
        """Returns the rows with a phase, and all of them inside the narrower band."""
        measured = np.zeros(block.row_count, dtype=bool)
        calm = np.ones(block.row_count, dtype=bool)
        for place in places:
            counts = _counting(block, place)
            measured |= counts
            calm &= ~(counts & self._beyond(block, place, _HYSTERESIS_PERCENT))
        return measured & calm

    def _beyond(self, block: Block, place: int, narrower: int) -> Flags:
        values = block.values[place]
        low, high = self._band(block.quantities[place], narrower)
        beyond: Flags = (values < low) | (values > high)
        return beyond

    def _band(self, quantity: Quantity, narrower: int) -> tuple[int, int]:
        nominal = self._settings.nominal_voltage_v
        tolerance = self._settings.voltage_tolerance_percent - narrower
        return (
            -_in_steps(-nominal * (100 - tolerance), quantity),  # rounded up
            _in_steps(nominal * (100 + tolerance), quantity),
        )

    def _outside(
        self, block: Block, row: int, places: list[int], found: tuple[Gathered, set[str]]
    ) -> None:
        gathered, raised = found
        meter, at = _which(block, row)
        if meter in raised:
            return
        shown = ", ".join(_shown(block, row, place) for place in places)
        limit = self._settings.voltage_tolerance_percent
        text = worded(
            "Voltage outside {nominal} V ± {limit} %: {shown}.",
            nominal=self._settings.nominal_voltage_v,
            limit=limit,
            shown=shown,
        )
        gathered.raise_(Telling(Subject(RULE, meter=meter), "warning", text, at))
        raised.add(meter)

    def _inside(self, block: Block, row: int, found: tuple[Gathered, set[str]]) -> None:
        gathered, raised = found
        meter, at = _which(block, row)
        if meter in raised:
            gathered.clear(Subject(RULE, meter=meter), at)
            raised.discard(meter)


def _counting(block: Block, place: int) -> Flags:
    """Returns the rows of which a phase counts."""
    quantity, counts = block.quantities[place], present(block, place)
    if _PHASES[quantity.logical_name] != "L1":
        counts &= block.values[place] >= _in_steps(_NOT_CONNECTED_V * 100, quantity)
    return counts


def _which(block: Block, row: int) -> tuple[str, datetime]:
    """Returns the meter of a row and its moment."""
    at = datetime.fromtimestamp(int(block.captured_at[row]), UTC)
    return block.meters[block.meter_index[row]], at


def _in_steps(hundredths_v: int, quantity: Quantity) -> int:
    """Returns hundredths of a volt in steps of the quantity, rounded down."""
    if quantity.scaler <= 0:
        return int(hundredths_v * 10**-quantity.scaler // 100)
    return int(hundredths_v // (100 * 10**quantity.scaler))


def _shown(block: Block, row: int, place: int) -> str:
    quantity = block.quantities[place]
    if block.missing is not None and block.missing[place, row]:
        return f"{_PHASES[quantity.logical_name]} –"
    volts = int(block.values[place, row]) * 10.0**quantity.scaler
    return f"{_PHASES[quantity.logical_name]} {volts:.1f} V"
