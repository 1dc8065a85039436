"""The meters of a selection as CSV, over a small registry that changes while it is written."""

import csv
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter, RegistryBase
from hesper_cloud.services.meters import Meters
from hesper_cloud.settings import RuleSettings
from hesper_ui.selections import Selections
from hesper_ui.services import MeterQuery
from hesper_ui.views import meter_csv
from sqlalchemy import create_engine

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
VIC = Actor("vic", Role.VIEWER)
NAMES = [f"M{number}" for number in range(6)]


@pytest.fixture
def registry(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    RegistryBase.metadata.create_all(engine)
    with writing(engine) as session:
        for name in NAMES:
            heard = NOW - timedelta(days=2)
            row = Meter(id=name, state="commissioned", first_seen_at=heard, last_contact_at=heard)
            session.add(row)
    yield engine
    engine.dispose()


async def test_a_meter_that_is_heard_meanwhile_takes_no_other_out_of_the_file(
    registry, monkeypatch
):
    monkeypatch.setattr(meter_csv, "AT_ONCE", 2)
    settings = SimpleNamespace(rules=RuleSettings())
    sources = SimpleNamespace(registry=registry, clock=lambda: NOW, settings=settings)
    silent = Selections().keep("vic", len(NAMES), query=MeterQuery(state="silent"))
    written = b""
    async for lines in meter_csv.lines(Meters(sources), VIC, silent):
        written += lines
        if b"M1" in lines:
            with writing(registry) as session:
                session.get_one(Meter, "M0").last_contact_at = NOW
    rows = csv.DictReader(written.decode().splitlines())
    assert [row["id"] for row in rows] == NAMES
