"""Blocks of the store port, from decoded sections of a batch or from stored readings."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from hesper_contracts import readings as contract
from hesper_contracts.columns import SectionColumns
from hesper_contracts.readings_json import logical_name_text

from hesper_cloud.stores.port import EARLIEST, Block, Integers, Quantity, Reading

CLOCKS_DIFFER_S = 300


@lru_cache(maxsize=4096)
def _sorted(
    quantities: tuple[contract.Quantity, ...],
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
        received_at: When it came here, taken instead of the section's own time where that is no
            time a store holds, or one still to come: latest values rank by it.
    """
    order, quantities = _sorted(section.quantities)
    in_order = order == tuple(range(len(order)))
    claimed = section.received_at
    if received_at is not None and not EARLIEST <= claimed <= received_at + CLOCKS_DIFFER_S:
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


def blocks_of(readings: Iterable[Reading]) -> Iterator[tuple[Block, Integers]]:
    """Yields stored readings as blocks, each with the times its rows were stored."""
    alike: dict[tuple[str, tuple[Quantity, ...], int], list[Reading]] = {}
    for reading in readings:
        names = tuple(
            Quantity(each.logical_name, each.scaler, each.unit) for each in reading.values
        )
        alike.setdefault((reading.profile, names, reading.received_at), []).append(reading)
    for (profile, quantities, received_at), rows in alike.items():
        yield (
            _block(profile, quantities, received_at, rows),
            np.array([row.stored_at_ms // 1000 for row in rows], dtype=np.int64),
        )


def _block(
    profile: str, quantities: tuple[Quantity, ...], received_at: int, rows: list[Reading]
) -> Block:
    shape = (len(rows), len(quantities))
    values = [[each.value for each in row.values] for row in rows]
    missing = np.array([[value is None for value in row] for row in values], bool).reshape(shape)
    present = np.array([[value or 0 for value in row] for row in values], np.int64).reshape(shape)
    return Block(
        profile=profile,
        quantities=quantities,
        meters=tuple(row.meter for row in rows),
        meter_index=np.arange(len(rows)),
        captured_at=np.array([row.captured_at for row in rows], dtype=np.int64),
        clock_status=np.array([row.clock_status for row in rows], dtype=np.uint8),
        quality=np.array([row.quality for row in rows], dtype=np.int64),
        received_at=received_at,
        values=present.T,
        missing=missing.T if missing.any() else None,
    )
