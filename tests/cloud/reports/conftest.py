"""An energy book, a registry and an authority with something to report."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hesper_cloud.aggregates.book import DAYS, SCORES, EnergyBook
from hesper_cloud.db.authority import AuditRow, AuthorityBase, CommandRecord
from hesper_cloud.db.base import RegistryBase
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import (
    Area,
    Customer,
    Gateway,
    LongJob,
    Meter,
    Report,
    ServiceLevelDay,
)
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.quantities import ACTIVE_ENERGY_EXPORT, ACTIVE_ENERGY_IMPORT
from hesper_cloud.reports.folders import file_of
from hesper_cloud.reports.making import KIND, Making
from hesper_cloud.reports.tables import Shelves
from hesper_cloud.settings import Settings
from sqlalchemy import Engine, select

NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
FIRST, END = "2026-06-01", "2026-06-08"
MIDNIGHT = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())


@dataclass
class House:
    """What reports read, and the runner that makes them."""

    state: Path
    shelves: Shelves

    def ask(self, report: str, area: str | None = None, zone: str = "UTC") -> int:
        told: dict[str, Any] = {"report": report, "first": FIRST, "end": END, "zone": zone}
        told |= {"area": area, "areas": None if area is None else [area]}
        with writing(self.shelves.registry) as session:
            return ask(session, Wish(KIND, report, "ann", told), NOON)

    def runner(self) -> Runner:
        return Runner(self.shelves.registry, [Making(self.shelves, self.state)], lambda: NOON)

    def made(self, report: str, area: str | None = None, zone: str = "UTC") -> Report:
        number = self.ask(report, area, zone)
        runner = self.runner()
        while runner.turn():
            pass
        assert self.job(number).state == "done", self.job(number).problem
        return self.report(number)

    def report(self, job: int) -> Report:
        with reading(self.shelves.registry) as session:
            return session.scalars(select(Report).where(Report.job_id == job)).one()

    def job(self, number: int) -> LongJob:
        with reading(self.shelves.registry) as session:
            return session.get_one(LongJob, number)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    registry = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    authority = open_engine(f"sqlite:///{tmp_path / 'authority.db'}")
    RegistryBase.metadata.create_all(registry)
    AuthorityBase.metadata.create_all(authority)
    book = EnergyBook(tmp_path / "energy.duckdb")
    _fill_registry(registry)
    _fill_authority(authority)
    _fill_book(book)
    settings = Settings(state=tmp_path)
    yield House(tmp_path, Shelves(registry, authority, book, settings, lambda: NOON))
    book.close()
    registry.dispose()
    authority.dispose()


def _fill_registry(engine: Engine) -> None:
    kept = {"created_at": NOON, "updated_at": NOON}
    with writing(engine) as session:
        session.add_all([Area(name="North"), Area(name="South"), Gateway(id="gw-1")])
        session.add(Gateway(id="gw-2", state="offline"))
        ada = Customer(account_number="=A-1", name="=Ada", area="North", **kept)
        session.add(ada)
        session.flush()
        for meter, gateway, area, heard_h in (
            ("M-1", "gw-1", "North", 0),
            ("M-2", "gw-2", "South", 30),
            ("M-3", "gw-1", None, None),
        ):
            session.add(
                Meter(
                    id=meter, gateway_id=gateway, area=area, first_seen_at=NOON,
                    capture_period_s=900, customer_id=ada.id if meter == "M-1" else None,
                    customer=ada.name if meter == "M-1" else None,
                    last_contact_at=None if heard_h is None else NOON - timedelta(hours=heard_h),
                )
            )  # fmt: skip
        session.add(Meter(id="M-9", life="stock", first_seen_at=NOON))
        for day, met in ((1, 99), (2, 97), (9, 100)):
            at = datetime(2026, 6, day, tzinfo=UTC)
            session.add(
                ServiceLevelDay(
                    level="daily-24h", day=at, due_count=100, met_count=met, computed_at=NOON
                )
            )


def _fill_authority(engine: Engine) -> None:
    with writing(engine) as session:
        for number, meter in enumerate(["M-1", "M-2"]):
            at = datetime(2026, 6, 3, 10, number, tzinfo=UTC)
            session.add(
                CommandRecord(
                    id=f"c-{number}", kind="relay.disconnect", meter=meter, gateway="gw-1",
                    state="confirmed", requester="ann", approver="ben", reason="@unpaid",
                    created_at=at, updated_at=at,
                )
            )  # fmt: skip
            session.add(
                AuditRow(
                    sequence=number + 1, at=at, actor="ann", action="command.draft",
                    subject=meter, previous_hash="", hash="",
                )
            )  # fmt: skip


def _fill_book(book: EnergyBook) -> None:
    days, scores = [], []
    for number in range(9):
        day = date(2026, 6, 1) + timedelta(days=number)
        starts_at = MIDNIGHT + number * 86_400
        for name, sums in ((ACTIVE_ENERGY_IMPORT, [1500, 2500]), (ACTIVE_ENERGY_EXPORT, [0, 7])):
            scaler = 0 if number else 1  # the first day's meter told tens of watt-hours
            energy = (scaler, 30, 1800, sums, [2, 2], [0, 1], None, None)
            demand = (900 + number, starts_at + 900, None, None)
            days.append(("M-1", name, day, starts_at, *energy, *demand))
        scores.append(("M-1", day, starts_at, 96, 95, 1, 1, 0, 99))
    written = {"days": _table(DAYS, days), "scores": _table(SCORES, scores)}
    worked = written["scores"].select(["meter", "day"])
    book.replace(worked, written, NOON)


def _table(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {name: list(values) for name, values in zip(schema.names, columns, strict=True)},
        schema=schema,
    )


@pytest.fixture
def rows_in(house: House) -> Callable[[Report], list[list[str]]]:
    """Reads the CSV of a report."""

    def read(report: Report) -> list[list[str]]:
        path = file_of(house.state, report.job_id, "csv")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))

    return read
