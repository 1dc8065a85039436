"""What InfluxDB holds under the identities of a group, compared with the group's rows."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import REVISIONS
from hesper_cloud.stores.influx_ql import of_meters, quoted, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Flags, Integers, Quantity, Reading, StoreRefused
from hesper_cloud.stores.rows import Rows
from hesper_cloud.stores.runs import runs

Identity = tuple[str, str, int, int]
Capture = tuple[str, int]
Content = frozenset[tuple[Quantity, int]]
"""What a row says; a value that is missing says no more than a quantity that is not there."""

_FIRST = ""
"""What stands in place of a tag for the first version, which is no revision."""
_METERS_PER_QUERY = 50
_MOST_VERSIONS = 1000
_TAGS = 1 << 16  # InfluxDB takes 100 000 values of a tag, unless it is told otherwise


class Conflict(NamedTuple):
    """A row that becomes a revision: the quality of the first version, and the revision's tag."""

    quality: int
    revision: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which rows are new, and which conflict."""

    new: Flags
    conflicts: dict[int, Conflict]

    def where(self, mask: Flags) -> "Sorted":
        """Returns only what concerns the rows of a mask."""
        return Sorted(
            self.new & mask, {row: found for row, found in self.conflicts.items() if mask[row]}
        )


class Versions:
    """The contents known under each identity, each with its revision's tag."""

    def __init__(self, meters: Sequence[str]) -> None:
        self._meters = meters
        self._contents: dict[Identity, dict[Content, str]] = {}
        self._quality: dict[Identity, int] = {}

    def load(
        self,
        server: InfluxServer,
        layouts: Layouts,
        parts: Sequence[Rows],
        suspects: Sequence[Flags],
    ) -> None:
        """Reads what is stored under the identities of suspect rows, profile by profile."""
        of_profile: defaultdict[str, list[tuple[Integers, Integers]]] = defaultdict(list)
        for part, suspect in zip(parts, suspects, strict=True):
            if suspect.any():
                rows = part.meter[suspect], part.captured_at[suspect]
                of_profile[part.profile].append(rows)
        for profile, found in of_profile.items():
            meter, captured = map(np.concatenate, zip(*found, strict=True))
            for where in self._conditions(meter, captured):
                condition = f"{where} AND profile = {quoted(profile)}"
                self._load(server, layouts, condition)

    def _conditions(self, meter: Integers, captured: Integers) -> Iterator[str]:
        for first, end in runs(captured):
            keys = np.unique(meter[(captured >= first) & (captured < end)])
            for start in range(0, len(keys), _METERS_PER_QUERY):
                names = [self._meters[key] for key in keys[start : start + _METERS_PER_QUERY]]
                yield f"{of_meters(names)} AND {within((first, end))}"

    def _load(self, server: InfluxServer, layouts: Layouts, where: str) -> None:
        for table in reads.points(server, where):
            for reading in reads.readings_of(table, layouts):
                self._known(reading)[_said(reading)] = _FIRST
                self._quality[reading.identity] = reading.quality
        for table in reads.points(server, where, f"{reads.TAGS}, revision", REVISIONS):
            for reading in reads.readings_of(table, layouts):
                self._known(reading).setdefault(_said(reading), table.tags["revision"])

    def _known(self, reading: Reading) -> dict[Content, str]:
        return self._contents.setdefault(reading.identity, {})

    def sort_out(self, parts: Sequence[Rows], suspects: Sequence[Flags]) -> list[Sorted]:
        """Compares suspect rows with what is known; the others are new.

        Raises:
            StoreRefused: there are too many versions of some captures.
        """
        beyond: set[Capture] = set()
        pairs = zip(parts, suspects, strict=True)
        found = [self._sorted(part, suspect, beyond) for part, suspect in pairs]
        if beyond:
            meter, captured_at = min(beyond)
            what = f"{_MOST_VERSIONS} versions of what it captured at {captured_at}"
            raise StoreRefused(f"{meter} has {what} already", frozenset(beyond))
        return found

    def _sorted(self, part: Rows, suspect: Flags, beyond: set[Capture]) -> Sorted:
        new, conflicts = ~suspect, {}
        for row in np.flatnonzero(suspect).tolist():
            meter, captured_at = self._meters[part.meter[row]], int(part.captured_at[row])
            identity = meter, part.profile, captured_at, int(part.clock_status[row])
            content = _content(part, row)
            known = self._contents.setdefault(identity, {})
            if not known:
                new[row] = True
                self._quality[identity] = int(part.quality[row])
                known[content] = _FIRST
            elif content not in known and len(known) >= _MOST_VERSIONS:
                beyond.add((meter, captured_at))
            elif content not in known:
                known[content] = _revision_tag(content, known)
                conflicts[row] = Conflict(self._quality.get(identity, 0), known[content])
        return Sorted(new, conflicts)


def _revision_tag(content: Content, known: Mapping[Content, str]) -> str:
    """Returns what a content is called: the same at each try, and unlike the others of its time."""
    taken = set(known.values())
    digest = hashlib.sha256(repr(sorted(content)).encode()).digest()
    places = range(_TAGS)
    first = int.from_bytes(digest[:2], "big")
    return next(tag for place in places if (tag := f"{(first + place) % _TAGS:04x}") not in taken)


def _said(reading: Reading) -> Content:
    return frozenset(
        (Quantity(each.logical_name, each.scaler, each.unit), each.value)
        for each in reading.values
        if each.value is not None
    )


def _content(part: Rows, row: int) -> Content:
    pairs = zip(part.quantities, part.values[:, row].tolist(), strict=True)
    if part.missing is None:
        return frozenset(pairs)
    absent = part.missing[:, row].tolist()
    return frozenset(pair for pair, gone in zip(pairs, absent, strict=True) if not gone)
