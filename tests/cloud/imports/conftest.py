"""A registry with areas, tariffs, gateways, customers and cards, and imports into it."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import (
    Area,
    Customer,
    Gateway,
    ImportFile,
    LongJob,
    Meter,
    MeterModel,
    Sim,
    Tariff,
)
from hesper_cloud.imports.applying import KIND, Applying
from hesper_cloud.imports.columns import ImportKind, titles
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.rejected import rejected
from hesper_cloud.imports.trying import Brought, Trial, try_file
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.long_jobs.running import Runner
from sqlalchemy import Engine, select
from tables import make_tables

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class House:
    """A registry and a state folder, without a head end around them."""

    state: Path
    registry: Engine
    now: datetime = NOON

    def tried(
        self,
        kind: ImportKind,
        rows: list[list[str]] | bytes,
        areas: tuple[str, ...] | None = None,
        **told: Any,
    ) -> tuple[str, Trial]:
        """Tries rows, or a whole file; returns the import's id and what was found."""
        octets = rows if isinstance(rows, bytes) else sheet(kind, *rows)
        brought = Brought(kind, "file.csv", octets, **told)
        import_id = uuid.uuid4().hex
        trial = try_file(self.registry, Folder(self.state, import_id), brought, areas)
        reading_ = {"encoding": trial.encoding, "separator": trial.separator}
        reading_ |= {"dates": brought.habits.dates, "decimal": brought.habits.decimal}
        with writing(self.registry) as session:
            session.add(
                ImportFile(
                    id=import_id, kind=kind, name="file.csv", brought_by="ann", brought_at=NOON,
                    sha256="ab" * 32, octets=len(octets), reading=reading_,
                    row_count=trial.row_count, good_count=trial.good_count, problems={},
                    existing="update" if brought.updates else "refuse",
                )
            )  # fmt: skip
        return import_id, trial

    def rejected_rows(self, import_id: str) -> Iterator[dict[str, Any]]:
        return rejected(self.registry, self.state, self.file(import_id))

    def problems(self, import_id: str) -> list[tuple[int, str, str]]:
        """Row, column and code of all that was refused."""
        return [
            (row["row"], each["column"], each["code"])
            for row in self.rejected_rows(import_id)
            for each in row["problems"]
        ]

    def file(self, import_id: str) -> ImportFile:
        with reading(self.registry) as session:
            return session.get_one(ImportFile, import_id)

    def begin(self, import_id: str, areas: list[str] | None = None) -> int:
        with writing(self.registry) as session:
            wish = Wish(KIND, "to try", "ann", {"import": import_id, "areas": areas})
            return ask(session, wish, NOON)

    def runner(self, portion: int = 1000) -> Runner:
        return Runner(
            self.registry,
            [Applying(self.registry, self.state, lambda: NOON, portion)],
            lambda: NOON,
        )

    def apply(self, import_id: str, portion: int = 1000) -> LongJob:
        """Applies a file and returns the job as it ended."""
        job = self.begin(import_id)
        runner = self.runner(portion)
        while runner.turn():
            pass
        return self.job(job)

    def job(self, number: int) -> LongJob:
        with reading(self.registry) as session:
            return session.get_one(LongJob, number)

    def all(self, model: Any) -> list[Any]:
        with reading(self.registry) as session:
            return list(session.scalars(select(model)))


def sheet(kind: ImportKind, *rows: list[str], separator: str = ",") -> bytes:
    lines = [separator.join(titles(kind)), *(separator.join(row) for row in rows)]
    return ("\r\n".join(lines) + "\r\n").encode()


@pytest.fixture(scope="session")
def prepared_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that is made once and copied for every test."""
    path = tmp_path_factory.mktemp("prepared") / "hesper.db"
    engine = open_engine(f"sqlite:///{path}")
    make_tables(engine)
    fill(engine)
    engine.dispose()
    return path


@pytest.fixture
def house(tmp_path: Path, prepared_registry: Path) -> Iterator[House]:
    shutil.copy(prepared_registry, tmp_path / "hesper.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    yield House(tmp_path, engine)
    engine.dispose()


def fill(engine: Engine) -> None:
    kept = {"created_at": NOON, "updated_at": NOON}
    with writing(engine) as session:
        session.add_all([Area(name="North"), Area(name="South"), Tariff(name="T1")])
        session.add_all(Gateway(id=f"gw-{number}") for number in (1, 2))
        session.add(
            MeterModel(brand="Hesper", model="HSP", meter_type="single phase", template="hsp")
        )
        session.flush()
        session.add(Customer(account_number="A-1", name="Ada Byron", area="North", **kept))
        session.add(Sim(iccid="89430000000000000010", number="S-1", **kept))
        session.add(Sim(iccid="89430000000000000020", number="S-2", state="retired", **kept))
        session.add(Meter(id="KNOWN1", first_seen_at=NOON, version=2, state="commissioned"))
        session.add(
            Meter(id="SEEN1", gateway_id="gw-1", first_seen_at=NOON, firmware="9.9", area="North")
        )


@pytest.fixture
def as_sheet() -> Callable[..., bytes]:
    return sheet
