"""Brings old days into the archive, and lets months go that are there; see the package."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from os import SEEK_END

from sqlalchemy import Engine, select

from hesper_cloud.archive import files
from hesper_cloud.archive.names import Place, date_of, day_of, folder_of, place_of
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.energy import DirtyDay
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.exports.targets import TargetError, below, opened, put, remove
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.settings import LEAST_DAYS_ONLINE, RetentionSettings
from hesper_cloud.stores.copying import DAY_S, Content, Counting, content
from hesper_cloud.stores.port import Reading, ReadingStore, StoreError
from hesper_cloud.worded import worded

FAILS = Subject("archive")
TURN_S = 60.0
_MARK = "hesper-archive.json"
_DIGESTS_AT_ONCE = 2_000_000


class ArchiveError(Exception):
    """The archive cannot be written, or does not give back what was written."""


class ArchiveKeeping:
    """Works on the oldest month; `turn` begins nothing further after a minute."""

    def __init__(
        self,
        retention: RetentionSettings,
        store: ReadingStore,
        registry: Engine,
        clock: Callable[[], datetime],
    ) -> None:
        self._retention = retention
        self._folder = retention.archive.rstrip("/")
        self._store = store
        self._registry = registry
        self._clock = clock
        self._alerts = Alerts(registry)
        self._month: range | None = None
        self._waiting: list[int] = []

    def turn(self) -> None:
        """Archives some days, and lets their month go after the last one."""
        if not self._folder:
            return
        try:
            self._work()
        except (ArchiveError, StoreError, TargetError) as error:
            self._month = None  # gone through again: what is there already is no news
            text = worded("Old readings cannot be archived and stay online: {why}", why=str(error))
            self._alerts.raise_(FAILS, "warning", text, at=self._clock())
        else:
            self._alerts.clear(FAILS, at=self._clock())

    def _work(self) -> None:
        deadline = time.monotonic() + TURN_S
        while (month := self._due()) is not None:
            if month != self._month:
                self._begin(month)
            while self._waiting:
                self._archive(self._waiting[0])
                self._waiting.pop(0)
                if time.monotonic() > deadline:
                    return
            if self._waits_for_sums(month):
                return
            self._store.let_go(month.stop * DAY_S)
            self._month = None
            if time.monotonic() > deadline:
                return

    def _due(self) -> range | None:
        """Returns the oldest month of which something is stored, if it is old enough and summed."""
        extent = self._store.extent()
        if extent is None:
            return None
        month = _month_of(extent[0] // DAY_S)
        is_old = month.stop * DAY_S <= self._retention.horizon(self._clock())
        return month if is_old and not self._waits_for_sums(month) else None

    def _waits_for_sums(self, month: range) -> bool:
        """Says whether a day is to be summed yet whose sums may rest on readings of a month.

        That is one of the month, or one so soon after it that estimates may reach back.
        """
        query = select(DirtyDay.day).where(DirtyDay.day < month.stop + LEAST_DAYS_ONLINE)
        with reading(self._registry) as session:
            return session.scalars(query.limit(1)).first() is not None

    def _begin(self, month: range) -> None:
        self._check_mark()
        self._store.watch()
        self._month, self._waiting = month, list(month)

    def _check_mark(self) -> None:
        """Refuses a folder that is not the one it was: a disk that is not mounted, for example."""
        if is_used(self._registry):
            check_mark(self._folder)
        else:
            mark = json.dumps({"archive": "hesper", "format": 1})
            put(f"{self._folder}/{_MARK}", [mark.encode()])

    def _archive(self, day: int) -> None:
        enter_unlisted(self._folder, self._registry, day, self._clock())
        parts = parts_of(self._registry, day)
        found = iter(self._unknown(day, parts))
        first = next(found, None)
        if first is None:
            return
        counting = Counting()
        place = Place(day, parts[-1].part + 1 if parts else 0)
        url = f"{self._folder}/{place.name}"
        octets = put(url, files.octets(counting.through(chain([first], found))))
        if content(files.readings(url)) != counting.content:
            remove(url)
            raise ArchiveError(f"{place.name} does not give back what was written")
        _enter(self._registry, place, counting.content, octets, self._clock())

    def _unknown(self, day: int, parts: Sequence[ArchivedPart]) -> Iterator[Reading]:
        """Yields what the store holds of a day and no part of it has, some of it in each pass.

        What parts hold is known by digests, of which memory holds so many at once.
        """
        passes = 1 + sum(part.readings for part in parts) // _DIGESTS_AT_ONCE
        for number in range(passes):
            known = {
                digest
                for part in parts
                for each in files.readings(f"{self._folder}/{part.name}")
                if _is_of(digest := _same(each), number, passes)
            }
            for each in self._store.export(day * DAY_S, (day + 1) * DAY_S):
                digest = _same(each)
                if _is_of(digest, number, passes) and digest not in known:
                    yield each


def is_used(registry: Engine) -> bool:
    """Says whether anything was ever archived and is still entered."""
    with reading(registry) as session:
        return session.scalars(select(ArchivedPart.day).limit(1)).first() is not None


def check_mark(folder: str) -> None:
    """Reads the mark of an archive that is in use.

    Raises:
        TargetError: it is not there, or cannot be reached.
    """
    with opened(f"{folder}/{_MARK}") as file:
        file.read()


def parts_of(registry: Engine, day: int) -> list[ArchivedPart]:
    """Returns the parts of a day (since 1970-01-01), oldest first."""
    query = select(ArchivedPart).where(ArchivedPart.day == day).order_by(ArchivedPart.part)
    with reading(registry) as session:
        return list(session.scalars(query))


def enter_unlisted(folder: str, registry: Engine, day: int, at: datetime) -> list[str]:
    """Enters the files of a day whose part the list does not know; returns their names.

    Archiving was killed, or the list is of before: it was restored, or taken back to a version
    without one. What such a file holds may be nowhere else, so none is written in its place.

    Raises:
        ArchiveError: one does not hold what it says.
        TargetError: one cannot be read, or is damaged.
    """
    listed = {part.part for part in parts_of(registry, day)}
    newest: dict[int, Place] = {}
    for name in below(f"{folder}/{folder_of(day)}"):
        place = place_of(f"{folder_of(day)}/{name}")
        if place is not None and place.part not in listed:
            newest[place.part] = max(place, newest.get(place.part, place))
    for place in newest.values():
        url = f"{folder}/{place.name}"
        found = content(files.readings(url))
        if files.said(url) not in (None, found):
            raise ArchiveError(f"{place.name} does not hold what it says")
        with opened(url) as file:
            octets = file.seek(0, SEEK_END)
        _enter(registry, place, found, octets, at)
    return [place.name for place in newest.values()]


def _enter(registry: Engine, place: Place, held: Content, octets: int, at: datetime) -> None:
    part = ArchivedPart(
        day=place.day,
        part=place.part,
        name=place.name,
        readings=held.readings,
        revisions=held.revisions,
        sha256=held.sha256,
        octets=octets,
        archived_at=at,
    )
    with writing(registry) as session:
        session.add(part)


def held(part: ArchivedPart) -> Content:
    """Returns what a part holds, as it is entered."""
    return Content(part.readings, part.revisions, part.sha256)


def become(part: ArchivedPart, name: str, octets: int, now: Content) -> None:
    """Enters another version of a part in its place."""
    part.name, part.octets = name, octets
    part.readings, part.revisions, part.sha256 = now.readings, now.revisions, now.sha256


def _same(reading: Reading) -> bytes:
    """Returns what readings have in common that the store would take for one: a digest."""
    identity = (reading.meter, reading.profile, reading.captured_at, reading.clock_status)
    told = (identity, [tuple(value) for value in reading.values])
    return hashlib.blake2b(repr(told).encode(), digest_size=16).digest()


def _is_of(digest: bytes, number: int, passes: int) -> bool:
    """Says whether a reading is dealt with in a pass."""
    return int.from_bytes(digest[:4]) % passes == number


def _month_of(day: int) -> range:
    first = date_of(day).replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    return range(day_of(first), day_of(after))
