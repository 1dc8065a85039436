"""Takes one meter's readings out of the archive, all of them or those of a time.

Theory of operation. A file that holds some is written anew without them, as the next version of its
part, which says what it holds; it is read back and compared, value by value, with what it was made
of; one transaction enters its name, count and digest, and only then the old file goes. Where
nothing is left of a part its row goes, then its file. Killed at any step, the same is done again: a
version that is not entered yet is written once more, one that a later one has replaced is removed,
and so is what a write that was broken off left behind. A file that no row names (archiving was
killed) is treated as any other.

It is for the thread in which readings are archived: no file is being made meanwhile.
"""

from collections.abc import Iterator
from itertools import chain, zip_longest

import pyarrow as pa
from sqlalchemy import Engine, select

from hesper_cloud.archive import files
from hesper_cloud.archive.files import Share
from hesper_cloud.archive.keeping import ArchiveError, become, check_mark, held
from hesper_cloud.archive.names import Place, begun_day, place_of
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.exports.parquet import written
from hesper_cloud.exports.targets import TargetError, below, put, remove
from hesper_cloud.stores.copying import DAY_S, Content, content

_ENOUGH = 5
"""Files that cannot be worked on before the rest is left for another time."""


class LeavingOut:
    """Works through the files of the days of one share."""

    def __init__(self, folder: str, registry: Engine, share: Share) -> None:
        self._folder = folder.rstrip("/")
        self._registry = registry
        self._share = share
        self._days = range(share.start // DAY_S, -(-share.end // DAY_S))

    def run(self) -> Iterator[int]:
        """Yields after each file how many readings were taken out of it.

        Raises:
            ArchiveError: at its end, where a part is not there or cannot be worked on.
            TargetError: the archive cannot be reached.
        """
        entered = self._entered()
        if not self._folder:
            if entered:
                raise ArchiveError(f"{len(entered)} parts are in an archive that is not set")
            return
        if entered:
            check_mark(self._folder)
        names = below(self._folder)
        problems = [f"{name} is not there" for name in sorted(entered.difference(names))]
        for name in names:
            try:
                taken = self._work_on(name, names)
            except (ArchiveError, TargetError, pa.ArrowException) as error:
                problems.append(str(error))
                if len(problems) >= _ENOUGH:
                    break
            else:
                yield taken
        if problems:
            raise ArchiveError("; ".join(problems[:_ENOUGH]))

    def _entered(self) -> set[str]:
        with reading(self._registry) as session:
            rows = session.execute(select(ArchivedPart.day, ArchivedPart.name)).all()
        return {name for day, name in rows if day in self._days}

    def _work_on(self, name: str, names: list[str]) -> int:
        if begun_day(name) in self._days:
            remove(self._url(name))
        place = place_of(name)
        if place is None or place.day not in self._days:
            return 0
        with reading(self._registry) as session:
            row = session.get(ArchivedPart, (place.day, place.part))
        if row is not None and row.name != name:
            self._remove_replaced(place, row.name, names)
            return 0
        return self._replace(place, row) if files.holds(self._url(name), self._share) else 0

    def _remove_replaced(self, place: Place, entered: str, names: list[str]) -> None:
        """Removes a file of which a later version is entered, and there."""
        later = place_of(entered)
        if later is not None and later.version > place.version and entered in names:
            remove(self._url(place.name))

    def _replace(self, place: Place, row: ArchivedPart | None) -> int:
        left = _Left(self._url(place.name), self._share)
        octets = self._write(left, place.next, row)
        if row is not None and left.count + left.taken.readings != row.readings:
            raise ArchiveError(f"{place.name} does not hold the readings that were archived")
        if octets:
            self._prove(place)
        self._enter(place, left.taken, octets)
        remove(self._url(place.name))
        return left.taken.readings

    def _write(self, left: "_Left", place: Place, row: ArchivedPart | None) -> int:
        """Returns how many octets the new file has; 0 where nothing is left and there is none."""

        def said() -> dict[str, str]:
            return {} if row is None else files.saying(held(row).minus(left.taken))

        tables = left.tables()
        first = next(tables, None)
        if first is None:
            return 0
        return put(self._url(place.name), written(chain([first], tables), said))

    def _prove(self, place: Place) -> None:
        """Compares the next version of a file with what it was made of."""
        wanted = _Left(self._url(place.name), self._share).tables()
        for one, other in zip_longest(wanted, files.groups(self._url(place.next.name))):
            if one is None or other is None or not one.equals(other):
                raise ArchiveError(f"{place.next.name} does not give back what was written")

    def _enter(self, place: Place, taken: Content, octets: int) -> None:
        """Enters the next version in place of a file that is entered."""
        with writing(self._registry) as session:
            row = session.get(ArchivedPart, (place.day, place.part))
            if row is None:
                return
            if not octets:
                session.delete(row)
                return
            become(row, place.next.name, octets, held(row).minus(taken))

    def _url(self, name: str) -> str:
        return f"{self._folder}/{name}"


class _Left:
    """What is left of a file without a share of it, and what the share came to."""

    def __init__(self, url: str, share: Share) -> None:
        self._url = url
        self._share = share
        self.taken = Content()
        self.count = 0

    def tables(self) -> Iterator[pa.Table]:
        """Yields what is left, row group by row group, and adds up what is not."""
        for left, taken in files.parted(self._url, self._share):
            self.taken = self.taken.plus(content(files.rows(taken)))
            self.count += left.num_rows
            if left.num_rows:
                yield left
