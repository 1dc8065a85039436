"""One export from a store to a target: a file, or for Parquet a folder partitioned by day."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.views import Range
from hesper_cloud.exports.curves import validated_curves
from hesper_cloud.exports.formats import FORMATS, FormatName, counted, counted_values
from hesper_cloud.exports.numbers import rfc3339
from hesper_cloud.exports.targets import put, remove
from hesper_cloud.stores.port import EARLIEST, LATEST, ReadingStore

_DAY_S = 86_400
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Told = Callable[[int], None]
Source = ReadingStore | Shelf


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which readings: ``start <= captured_at < end``, epoch seconds; no meters: every one.

    Of validated ones every value counts by itself, edits and estimates included. The range is not
    empty: ValueError.
    """

    format: FormatName
    profile: str
    start: int
    end: int
    meters: Sequence[str] | None = None
    validated: bool = False

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError("the range is empty")

    @property
    def of(self) -> str:
        """How file names say of which meters it is; empty: of all."""
        if self.meters is None:
            return ""
        if len(self.meters) == 1 and _PLAIN.fullmatch(self.meters[0]):
            return f"-{self.meters[0]}"
        digest = hashlib.sha256("\n".join(sorted(self.meters)).encode()).hexdigest()[:8]
        return f"-{len(self.meters)}-meters-{digest}"


@dataclass(frozen=True, slots=True)
class Exported:
    """What left the house."""

    readings: int
    octets: int
    files: int


def octets_of(source: Source, wanted: Wanted, told: Told = lambda _: None) -> Iterator[bytes]:
    """Yields an export as one stream of octets; validated readings come from a shelf alone."""
    form, window = FORMATS[wanted.format], range(wanted.start, wanted.end)
    first, after = window.start - form.look_around_s, window.stop + form.look_around_s
    span = Range(wanted.profile, max(EARLIEST, first), min(LATEST + 1, after))
    if not wanted.validated:
        store = source.store if isinstance(source, Shelf) else source
        return form.write(counted(store.rows(*span, wanted.meters), window, told), window)
    if not isinstance(source, Shelf):
        raise TypeError("validated readings need registry and energy book beside the store")
    meters = None if wanted.meters is None else list(wanted.meters)
    curves = validated_curves(source, span, meters)
    return form.write_validated(counted_values(curves, window, told), window)


def export(source: Source, wanted: Wanted, target: str, told: Told = lambda _: None) -> Exported:
    """Writes an export below ``target``; the same export again replaces its files.

    Parquet goes into ``profile=…/day=YYYY-MM-DD/readings.parquet`` (``validated.parquet``), days in
    UTC; a day without readings has no file. Other formats are one file per export. Names say of
    which meters it is, where not of all.

    Raises:
        TargetError: the target cannot be written.
        StoreError: the store cannot be read.
    """
    if wanted.format == "parquet":
        return _by_day(source, wanted, target, told)
    count = 0

    def tell(total: int) -> None:
        nonlocal count
        count = total
        told(total)

    octets = put(f"{target.rstrip('/')}/{name_of(wanted)}", octets_of(source, wanted, tell))
    return Exported(count, octets, 1)


def name_of(wanted: Wanted) -> str:
    """Returns the name of a file that holds the whole export."""
    start, end = (rfc3339(at).replace(":", "") for at in (wanted.start, wanted.end))
    kind = "validated" if wanted.validated else "readings"
    return f"{kind}-{wanted.profile}-{start}-{end}{wanted.of}.{FORMATS[wanted.format].suffix}"


def _by_day(source: Source, wanted: Wanted, target: str, told: Told) -> Exported:
    count = octets = files = 0
    day = wanted.start // _DAY_S * _DAY_S
    while day < wanted.end:
        part = Wanted(
            wanted.format,
            wanted.profile,
            max(day, wanted.start),
            min(day + _DAY_S, wanted.end),
            wanted.meters,
            wanted.validated,
        )
        folder = f"{target.rstrip('/')}/profile={wanted.profile}/day={rfc3339(day)[:10]}"
        before = count

        def tell(total: int, before: int = before) -> None:
            nonlocal count
            count = before + total
            told(count)

        pieces = octets_of(source, part, tell)
        first = next(pieces, None)
        name = f"{folder}/{'validated' if wanted.validated else 'readings'}{wanted.of}.parquet"
        if first is None:
            remove(name)
        else:
            octets += put(name, _chained(first, pieces))
            files += 1
        day += _DAY_S
    return Exported(count, octets, files)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
