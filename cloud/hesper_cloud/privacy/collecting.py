"""All that is kept about one person as a zip of JSON and CSV files, written piece by piece."""

import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, LargeBinary, and_, or_, select
from sqlalchemy.orm import Session

from hesper_cloud import csv_lines
from hesper_cloud.assets.holdings import Holding, holdings
from hesper_cloud.db.assets import AssetChange, Customer, MeterExchange, RegisterRead, Sim
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.energy import Substitute
from hesper_cloud.db.engines import reading
from hesper_cloud.db.privacy import DataAccess
from hesper_cloud.db.registry import Alert, Event, Meter, MeterProfile
from hesper_cloud.erasure.rows import Extent
from hesper_cloud.exports import flat
from hesper_cloud.quantities import LOAD_PROFILE, REGISTER_SNAPSHOT
from hesper_cloud.services.access_log import concerning
from hesper_cloud.stores.port import ReadingStore

_OF_THE_DEVICE = ("id", "logical_device_name", "brand", "model", "meter_type")
_README = """\
What the head end keeps about customer number {customer}, as of {at}.

customer.json            the customer's own record
meters.json, sims.json   the meters that measured the supply, with the time of each, and SIM cards
readings/METER/*.csv     every reading of that time, one file for each profile; times in UTC
edits.csv                estimates and corrections beside the readings
events.csv, alerts.csv   what the meters told, and what was made of it
commands.csv             what the meters were told to do
registers.csv            registers at first and final reads;  exchanges.csv  exchanges of meters
history.csv              changes of the customer's and the meters' records
access-log.csv           who looked at the interval data; rows without a meter are looks at many

Not in here: the audit log, which names meters and commands; backups; and what other systems took.
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where everything lies."""

    registry: Engine
    authority: Engine
    store: ReadingStore


def write_all(kept: Kept, customer_id: int, path: Path, at: datetime) -> dict[str, int]:
    """Writes the file, readable by its owner alone; returns how many rows each part has.

    A file that was begun and not finished is replaced.
    """
    partial = begun(path)
    partial.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr("README.txt", _README.format(customer=customer_id, at=at.isoformat()))
        counts = _Collecting(kept, archive, customer_id).run()
    partial.replace(path)
    return counts


def begun(path: Path) -> Path:
    """Returns where a file lies while it is written."""
    return path.with_suffix(".part")


class _Collecting:
    """Fills one archive."""

    def __init__(self, kept: Kept, archive: zipfile.ZipFile, customer_id: int) -> None:
        self._kept = kept
        self._archive = archive
        self._customer = customer_id
        with reading(kept.registry) as session:
            self._held = holdings(session, customer_id)
        self._counts: dict[str, int] = {}

    def run(self) -> dict[str, int]:
        with reading(self._kept.registry) as session:
            self._records(session)
            self._tables(session)
        with reading(self._kept.authority) as session:
            found = self._during(session, CommandRecord, CommandRecord.created_at)
            self._csv("commands.csv", CommandRecord, found)
        for holding in self._held:
            self._readings(holding)
        return self._counts

    def _records(self, session: Session) -> None:
        customer = session.get_one(Customer, self._customer)
        self._json("customer.json", _plain(customer))
        meters = [
            {"record": _of_meter(session, each), "time": _texts(asdict(each))}
            for each in self._held
        ]
        self._json("meters.json", meters)
        named = [each.meter for each in self._held if each.until is None]
        sims = session.scalars(select(Sim).where(Sim.meter.in_(named)))
        self._json("sims.json", [_plain(each) for each in sims])

    def _tables(self, session: Session) -> None:
        for name, model, moment in (
            ("edits.csv", Substitute, Substitute.captured_at),
            ("events.csv", Event, Event.occurred_at),
            ("alerts.csv", Alert, Alert.raised_at),
            ("registers.csv", RegisterRead, RegisterRead.at),
        ):
            self._csv(name, model, self._during(session, model, moment))
        own = select(MeterExchange).where(MeterExchange.customer_id == self._customer)
        self._csv("exchanges.csv", MeterExchange, session.scalars(own))
        self._csv("history.csv", AssetChange, self._history(session))
        self._csv("access-log.csv", DataAccess, self._looks(session))

    def _during(self, session: Session, model: Any, moment: Any) -> Iterator[Any]:
        """Yields the rows of a table about the person's meters, each in its time."""
        for holding in self._held:
            query = select(model).where(model.meter == holding.meter).order_by(moment)
            yield from session.scalars(query.where(*_extent(holding).terms(moment)))

    def _history(self, session: Session) -> Iterator[AssetChange]:
        own = select(AssetChange).where(
            AssetChange.kind == "customer", AssetChange.asset == str(self._customer)
        )
        yield from session.scalars(own.order_by(AssetChange.id))
        for holding in self._held:
            query = select(AssetChange).where(
                AssetChange.kind == "meter", AssetChange.asset == holding.meter
            )
            query = query.order_by(AssetChange.id)
            for row in session.scalars(query.where(*_extent(holding).terms(AssetChange.at))):
                if row.at == holding.since:
                    session.expunge(row)
                    row.before = {}  # of whoever had the meter until then
                yield row

    def _looks(self, session: Session) -> Iterator[DataAccess]:
        seen: set[int] = set()
        for holding in self._held:
            area = session.scalar(select(Meter.area).where(Meter.id == holding.meter))
            query = select(DataAccess).where(concerning(holding.meter, area), _looked(holding))
            for row in session.scalars(query.order_by(DataAccess.id)):
                if row.id not in seen:
                    seen.add(row.id)
                    yield row

    def _readings(self, holding: Holding) -> None:
        known = select(MeterProfile.profile).where(MeterProfile.meter == holding.meter)
        with reading(self._kept.registry) as session:
            profiles = {LOAD_PROFILE, REGISTER_SNAPSHOT, *session.scalars(known)}
        start, end = _extent(holding).bounds
        for profile in sorted(profiles):
            parts = self._kept.store.rows(profile, start, end, [holding.meter])
            first = next(parts, None)
            if first is None:
                continue
            name = f"readings/{_file_name(holding.meter)}/{profile}-from-{start}.csv"
            counted = self._counted("readings", _chained(first, parts))
            with self._archive.open(name, "w", force_zip64=True) as file:
                for piece in flat.write(counted):
                    file.write(piece)

    def _counted(self, name: str, parts: Iterable[Any]) -> Iterator[Any]:
        for part in parts:
            self._counts[name] = self._counts.get(name, 0) + len(part.captured_at)
            yield part

    def _json(self, name: str, document: object) -> None:
        self._archive.writestr(name, json.dumps(document, ensure_ascii=False, indent=1))

    def _csv(self, name: str, model: Any, rows: Iterable[Any]) -> None:
        columns = _columns(model)
        count = 0

        def cells() -> Iterator[list[object]]:
            nonlocal count
            yield list(columns)
            for row in rows:
                count += 1
                yield [_text(getattr(row, column)) for column in columns]

        with self._archive.open(name, "w", force_zip64=True) as file:
            for piece in csv_lines.lines(cells()):
                file.write(piece)
        self._counts[name.removesuffix(".csv")] = count


def _extent(holding: Holding) -> Extent:
    return Extent(holding.meter, holding.since, holding.until)


def _looked(holding: Holding) -> ColumnElement[bool]:
    """Returns the condition that a look was at readings of a holding's time, whenever it was taken.

    One that names no range was at what was newest then.
    """
    no_range = and_(DataAccess.from_at.is_(None), *_extent(holding).terms(DataAccess.last_at))
    since = [] if holding.since is None else [DataAccess.to_at > holding.since]
    until = [] if holding.until is None else [DataAccess.from_at < holding.until]
    return or_(no_range, and_(DataAccess.from_at.is_not(None), *since, *until))


def _of_meter(session: Session, holding: Holding) -> dict[str, object] | None:
    """Returns a meter's record: of one that is the person's no more, what it is, not where.

    Whom it serves today, where, and how their supply stands is another household's.
    """
    record = _plain(session.get(Meter, holding.meter))
    if record is None or holding.until is None:
        return record
    return {name: record[name] for name in _OF_THE_DEVICE}


def _columns(model: Any) -> list[str]:
    return [
        column.key for column in model.__table__.columns if not isinstance(column.type, LargeBinary)
    ]


def _plain(row: Any) -> dict[str, object] | None:
    return None if row is None else {key: _text(getattr(row, key)) for key in _columns(type(row))}


def _texts(document: dict[str, Any]) -> dict[str, object]:
    return {key: _text(value) for key, value in document.items()}


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _file_name(meter: str) -> str:
    """Returns a meter's name as no archive takes it for a path."""
    return "".join(each if each.isalnum() or each in "-_" else "_" for each in meter)


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
