"""What InfluxDB holds under the identities of a group, compared with the group's rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_ql import of_meters, quoted, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Flags, Quantity, Reading
from hesper_cloud.stores.rows import Rows

Identity = tuple[str, str, int, int]
Content = frozenset[tuple[Quantity, int]]
"""What a row says; a value that is missing says no more than a quantity that is not there."""

_METERS_PER_QUERY = 50


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which rows are new, and which conflict: row → quality of the first version."""

    new: Flags
    conflicts: dict[int, int]

    def where(self, mask: Flags) -> "Sorted":
        """Returns only what concerns the rows of a mask."""
        return Sorted(
            self.new & mask, {row: quality for row, quality in self.conflicts.items() if mask[row]}
        )


class Versions:
    """The contents known under each identity, the first one first."""

    def __init__(self, meters: Sequence[str]) -> None:
        self._meters = meters
        self._contents: dict[Identity, list[Content]] = {}
        self._quality: dict[Identity, int] = {}

    def load(self, server: InfluxServer, layouts: Layouts, part: Rows, suspect: Flags) -> None:
        """Reads what is stored under the identities of suspect rows."""
        if not suspect.any():
            return
        names = [self._meters[key] for key in np.unique(part.meter[suspect])]
        captured = part.captured_at[suspect]
        span = within((int(captured.min()), int(captured.max()) + 1))
        for start in range(0, len(names), _METERS_PER_QUERY):
            chunk = names[start : start + _METERS_PER_QUERY]
            where = f"{of_meters(chunk)} AND profile = {quoted(part.profile)} AND {span}"
            for reading in reads.versions(server, layouts, where):
                self._add(reading)

    def _add(self, reading: Reading) -> None:
        identity = (reading.meter, reading.profile, reading.captured_at, reading.clock_status)
        contents = self._contents.setdefault(identity, [])
        content = frozenset(
            (Quantity(each.logical_name, each.scaler, each.unit), each.value)
            for each in reading.values
            if each.value is not None
        )
        if content not in contents:
            contents.append(content)
        if reading.revision == 0:
            self._quality[identity] = reading.quality

    def sort_out(self, part: Rows, suspect: Flags) -> Sorted:
        """Compares suspect rows with what is known; the others are new."""
        new, conflicts = ~suspect, {}
        for row in np.flatnonzero(suspect).tolist():
            identity = (
                self._meters[part.meter[row]],
                part.profile,
                int(part.captured_at[row]),
                int(part.clock_status[row]),
            )
            content = _content(part, row)
            contents = self._contents.setdefault(identity, [])
            if not contents:
                new[row] = True
                self._quality[identity] = int(part.quality[row])
            elif content in contents:
                continue
            else:
                conflicts[row] = self._quality.get(identity, 0)
            contents.append(content)
        return Sorted(new, conflicts)


def _content(part: Rows, row: int) -> Content:
    pairs = zip(part.quantities, part.values[:, row].tolist(), strict=True)
    if part.missing is None:
        return frozenset(pairs)
    absent = part.missing[:, row].tolist()
    return frozenset(pair for pair, gone in zip(pairs, absent, strict=True) if not gone)
