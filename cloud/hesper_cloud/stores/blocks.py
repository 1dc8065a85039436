"""Decoded sections of a batch as blocks of the store port."""

from functools import lru_cache

import numpy as np
from hesper_contracts import readings
from hesper_contracts.columns import SectionColumns
from hesper_contracts.readings_json import logical_name_text

from hesper_cloud.stores.port import EARLIEST, LATEST, Block, Quantity


@lru_cache(maxsize=4096)
def _sorted(
    quantities: tuple[readings.Quantity, ...],
) -> tuple[tuple[int, ...], tuple[Quantity, ...]]:
    named = [
        Quantity(logical_name_text(each.logical_name), each.scaler, each.unit)
        for each in quantities
    ]
    order = sorted(range(len(named)), key=named.__getitem__)
    return tuple(order), tuple(named[place] for place in order)


@lru_cache(maxsize=256)
def _text(profile: bytes) -> str:
    return logical_name_text(profile)


def block_of(section: SectionColumns, received_at: int | None = None) -> Block:
    """Returns a section as a block, its quantities sorted.

    Args:
        section: What a batch held.
        received_at: Taken instead of the section's own time where that is no time a store holds.
    """
    order, quantities = _sorted(section.quantities)
    in_order = order == tuple(range(len(order)))
    claimed = section.received_at
    if received_at is not None and not EARLIEST <= claimed <= LATEST:
        claimed = received_at
    nulls = section.nulls
    return Block(
        profile=_text(section.profile),
        quantities=quantities,
        meters=section.meters,
        meter_index=section.meter_index,
        captured_at=section.captured_at,
        clock_status=section.clock_status,
        quality=section.quality,
        received_at=claimed,
        values=section.values if in_order else section.values[np.array(order)],
        missing=nulls if in_order or nulls is None else nulls[np.array(order)],
    )
