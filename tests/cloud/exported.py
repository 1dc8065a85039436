"""For tests of exports: a meter's quarter hours over an evening, and the order of elements."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from hesper_cloud.stores.port import Block, Quantity

PROFILE, ENERGY, POWER, VOLTAGE = (
    "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.1.7.0.255", "1.0.32.7.0.255",
)  # fmt: skip
T0 = int(datetime(2026, 6, 1, 22, tzinfo=UTC).timestamp())
COUNT = 16


def block(
    meter: str,
    first: int = 0,
    count: int = COUNT,
    by: int = 0,
    quality: int = 0,
    energy_scaler: int = 1,
) -> Block:
    at = T0 + 900 * np.arange(first, first + count, dtype=np.int64)
    energy = 10_000 + 250 * np.arange(first, first + count, dtype=np.int64) + by
    values = np.stack([np.full(count, 1000), energy, np.full(count, 2301)]).astype(np.int64)
    missing = np.zeros(values.shape, dtype=bool)
    missing[2, 1:2] = True
    return Block(
        profile=PROFILE,
        quantities=(
            Quantity(POWER, 0, 27),
            Quantity(ENERGY, energy_scaler, 30),
            Quantity(VOLTAGE, -1, 35),
        ),
        meters=(meter,),
        meter_index=np.zeros(count, dtype=np.int64),
        captured_at=at,
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.full(count, quality, dtype=np.int64),
        received_at=int(at[-1]) + 5,
        values=values,
        missing=missing,
    )


def captured(meter: str, curves: Mapping[Quantity, Sequence[int]]) -> Block:
    """A meter's quarter hours of some quantities, each with as many values."""
    quantities = tuple(sorted(curves))
    values = np.array([curves[each] for each in quantities], dtype=np.int64)
    count = values.shape[1]
    nothing = np.zeros(count, dtype=np.int64)
    return Block(
        profile=PROFILE,
        quantities=quantities,
        meters=(meter,),
        meter_index=nothing,
        captured_at=T0 + 900 * np.arange(count, dtype=np.int64),
        clock_status=nothing,
        quality=nothing,
        received_at=T0 + 900 * count,
        values=values,
        missing=np.zeros(values.shape, dtype=bool),
    )


def in_order(element: ET.Element, order: Mapping[str, Sequence[str]]) -> None:
    """Holds the order of a schema against an element and what is in it."""
    known = order.get(element.tag)
    if known is not None:
        places = [known.index(child.tag.rpartition("}")[2]) for child in element]
        assert places == sorted(places), element.tag
    for child in element:
        in_order(child, order)
