"""Values of one quantity, as they come from InfluxDB, as columns in one scaler."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.port import Flags, Integers, Quantity
from hesper_cloud.stores.stepped_sums import Rows, fits


class Alike(NamedTuple):
    """Layouts that have a quantity in one unit: the least scaler, and what brings each to it."""

    scaler: int
    factors: Mapping[int, int]

    @classmethod
    def of(cls, sources: Mapping[int, Quantity]) -> "Alike":
        """Returns those of layouts; there has to be one."""
        scaler = min(each.scaler for each in sources.values())
        return cls(scaler, {name: 10 ** (each.scaler - scaler) for name, each in sources.items()})

    def scaled(self, values: Integers, layouts: Integers) -> Integers:
        """Returns values in the least scaler, as objects where 64 bits may not hold them."""
        largest = max(self.factors.values())
        if largest == 1:
            return values
        factors = [self.factors[layout] for layout in layouts.tolist()]
        scaled: Integers = values * np.array(factors, np.int64 if fits(values, largest) else object)
        return scaled

    def having(self, layouts: Integers) -> Flags:
        """Says which rows are of these layouts."""
        return np.isin(layouts, list(self.factors))


class Columns:
    """Gathers rows of meters."""

    def __init__(self) -> None:
        self.count = 0
        self._meters: list[str] = []
        self._counts: list[int] = []
        self._columns: tuple[list[int | None], ...] = ([], [], [])

    def add(
        self,
        meter: str,
        times: Sequence[int],
        values: Sequence[int | None],
        layouts: Sequence[int | None],
    ) -> None:
        """Adds rows of a meter, in no order."""
        self._meters.append(meter)
        self._counts.append(len(times))
        self.count += len(times)
        for column, part in zip(self._columns, (times, values, layouts), strict=True):
            column += part

    def rows(self, alike: Alike) -> Rows:
        """Returns those rows of some layouts that have a value, ascending by meter and time."""
        places = {meter: place for place, meter in enumerate(dict.fromkeys(self._meters))}
        meters = np.repeat([places[meter] for meter in self._meters], self._counts)
        times, values, layouts = map(_integers, self._columns)
        there = np.array([value is not None for value in self._columns[1]], dtype=bool)
        chosen = np.flatnonzero(there & alike.having(layouts))
        chosen = chosen[np.lexsort((times[chosen], meters[chosen]))]
        value = alike.scaled(values[chosen], layouts[chosen])
        return Rows(meters[chosen], times[chosen], value)


def _integers(listed: Sequence[int | None]) -> Integers:
    return np.array([each or 0 for each in listed], np.int64)
