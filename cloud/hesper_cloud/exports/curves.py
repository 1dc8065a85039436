"""Cuts columns into the curves of single meters, for formats that go meter by meter."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.port import Flags, Integers, Quantity, ReadingColumns


class MeterPart(NamedTuple):
    """Readings of one meter in one part, ascending in time; one row of values per quantity."""

    meter: str
    quantities: tuple[Quantity, ...]
    captured_at: Integers
    quality: Integers
    values: Integers
    missing: Flags


def meter_parts(parts: Iterable[ReadingColumns]) -> Iterator[MeterPart]:
    """Yields one piece per meter and part; a meter may go on in the next part."""
    for part in parts:
        index = np.asarray(part.meter_index)
        edges = np.flatnonzero(np.diff(index)) + 1
        for start, end in zip([0, *edges], [*edges, len(index)], strict=True):
            if end > start:
                yield MeterPart(
                    part.meters[index[start]],
                    part.quantities,
                    part.captured_at[start:end],
                    part.quality[start:end],
                    part.values[:, start:end],
                    part.missing[:, start:end],
                )


def period_of(captured_at: Integers) -> int:
    """Returns the commonest distance between captures; 900 where there is only one."""
    distances = np.diff(captured_at)
    if not len(distances):
        return 900
    found, counts = np.unique(distances, return_counts=True)
    return int(found[counts.argmax()])
