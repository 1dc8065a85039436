"""A meter's voltages by the week of its zone, assessed after EN 50160."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from hesper_cloud.aggregates.calendar import midnight
from hesper_cloud.aggregates.roster import Member
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation.judge import NOT_CONNECTED_V, VOLTAGES, voltage_band
from hesper_cloud.validation.voltage_weeks import Assessment, Band, assess


@dataclass(frozen=True, slots=True)
class VoltageWeek:
    """One phase in the week that begins on a Monday."""

    monday: date
    logical_name: str
    assessment: Assessment


def weeks(
    store: ReadingStore, member: Member, limits: Thresholds, first: date, last: date
) -> Iterator[VoltageWeek]:
    """Yields the weeks that days from the first to the last are in, phases that the meter has."""
    monday = first - timedelta(days=first.weekday())
    while monday <= last:
        span = midnight(monday, member.zone), midnight(monday + timedelta(days=7), member.zone)
        for logical_name in VOLTAGES:
            found = _assessed(store, member, limits, logical_name, span)
            if found is not None:
                yield VoltageWeek(monday, logical_name, found)
        monday += timedelta(days=7)


def _assessed(
    store: ReadingStore,
    member: Member,
    limits: Thresholds,
    logical_name: str,
    span: tuple[int, int],
) -> Assessment | None:
    curve = store.series(member.meter, LOAD_PROFILE, logical_name, span[0] + 1, span[1] + 1, None)
    scale = 10 ** max(-curve.scaler, 0)
    highest = limits.highest_voltage_v * scale
    least = 0 if logical_name == VOLTAGES[0] else NOT_CONNECTED_V * scale
    points = [
        (at, value)
        for at, value in zip(curve.times, curve.values, strict=True)
        if value is not None and least <= value <= highest  # as the daily check takes them
    ]
    if not points or curve.scaler > 0:
        return None
    times, values = map(np.array, zip(*points, strict=True))
    band = Band(
        *voltage_band(limits.nominal_voltage_v * scale, limits), limits.voltage_share_percent
    )
    return assess(times, values, span, member.period_s, band)
