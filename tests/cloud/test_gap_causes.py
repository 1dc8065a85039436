"""Causes of a whole fleet's silence are told in time that grows with the fleet, not its square."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hesper_cloud.db.engines import open_engine
from hesper_cloud.db.registry import Meter
from hesper_cloud.gaps.causes import LINE, Causes
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.settings import RuleSettings
from sqlalchemy import Engine
from tables import make_tables

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'test.db'}")
    make_tables(made)
    yield made
    made.dispose()


def test_every_meter_of_a_large_silent_line_is_judged_once(engine: Engine) -> None:
    heard_at = NOON - timedelta(days=2)
    meters = [
        Meter(id=f"M{each}", gateway_id="gw-1", capture_period_s=900, last_contact_at=heard_at)
        for each in range(10_000)
    ]
    causes = Causes(engine, LOAD_PROFILE, meters, RuleSettings(), NOON)
    begun_s = time.process_time()
    assert {causes.of(meter, heard_at) for meter in meters} == {LINE}
    assert time.process_time() - begun_s < 5  # each beside each would be a hundred million looks
