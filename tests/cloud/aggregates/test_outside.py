"""Series from outside: JSON, CSV, and beside the aggregates."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hesper_cloud.aggregates import outside
from hesper_cloud.aggregates.buckets import Bucket
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.outside_in import OutsideIn

AT = datetime(2026, 9, 21, 14, tzinfo=UTC)
T0 = int(AT.timestamp())
JSON = b"""{"kind": "series", "version": 1, "series": "temperature", "scaler": -1, "unit": 9,
 "points": [["2026-09-21T14:00:00Z", 173], ["2026-09-21T16:30:00+02:00", -20]]}"""


def stored(plant: Any, name: str) -> list[tuple[int, int]]:
    with reading(plant.engine) as session:
        return outside.points(session, name, 0, 2**33)


def test_the_newest_word_for_an_instant_holds(plant):
    batch = outside.from_json(JSON)
    for each in (batch, batch, batch.model_copy(update={"points": [(AT, 180)]})):
        with writing(plant.engine) as session:
            outside.store(session, each, "ann", plant.now)
    assert stored(plant, "temperature") == [(T0, 180), (T0 + 1800, -20)]
    other = batch.model_copy(update={"scaler": 0})
    with pytest.raises(outside.SeriesRefused, match="scaler"), writing(plant.engine) as session:
        outside.store(session, other, "ann", plant.now)


@pytest.mark.parametrize(
    ("value", "steps"), [("17.3", 173), ("-0.5", -5), ("17", 170), ("+2.10", 21)]
)
def test_csv_holds_decimals_as_far_as_the_scaler(value: str, steps: int):
    text = f"at,value\n2026-09-21T14:00:00Z,{value}\n"
    assert outside.from_csv(text, "t", -1, 9).points == [(AT, steps)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("at,value\n2026-09-21T14:00:00Z,17.35\n", "line 2: .* decimals"),
        ("at,value\n2026-09-21T14:00:00Z,1e3\n", "no decimal"),
        ("at,value\nyesterday,1\n", "line 2"),
        ("at,value\n2026-09-21T14:00:00Z,17,3\n", "line 2: .* decimals stand behind a point"),
        ("at,value\n2026-09-21T14:00:00,1\n", "timezone"),
        ("at,value\n2026-09-21T14:00:00Z,99999999999999999999\n", "64 bits"),
        ("at,value\n2026-09-21T14:00:00Z,1\r2\n", "line 2: new-line character"),
        ("at,value\n" + "1" * 140_000 + ",1\n", "line 2: field larger"),
    ],
)
def test_a_csv_that_is_wrong_is_refused(text: str, told: str):
    with pytest.raises(outside.SeriesRefused, match=told):
        outside.from_csv(text, "t", -1, 9)


@pytest.mark.parametrize("scaler", [-1_000_000, -19, 19])
def test_a_scaler_that_no_series_has_is_refused(scaler: int):
    with pytest.raises(outside.SeriesRefused, match="not one of -18 to 18"):
        outside.from_csv("at,value\n2026-09-21T14:00:00Z,1\n", "t", scaler, 9)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"series": "a b", "points": []}',
        b'{"series": "t", "points": [["2026-09-21T14:00:00Z", 1.5]]}',
        b'{"series": "t", "points": [["2026-09-21T14:00:00Z", true]]}',
        b'{"series": "t", "points": [["0001-01-01T00:00:00+14:00", 1]]}',
        b'{"series": "t", "points": [["9999-12-31T23:59:59-14:00", 1]]}',
        b'{"series": "t", "points": [], "version": 2}',
    ],
)
def test_what_is_no_series_is_refused(payload: bytes):
    with pytest.raises(outside.SeriesRefused):
        outside.from_json(payload)


def test_points_are_joined_to_buckets_by_their_mean():
    buckets = [Bucket(start, start + 1800, 0, 1, 0, 0, 30) for start in (0, 1800, 7200)]
    points = [(-5, 99), (0, 10), (900, 13), (1800, 7), (3600, 99), (7200, -3), (9000, 99)]
    assert outside.joined(buckets, points) == [12, 7, -3]
    assert outside.joined(buckets, []) == [None, None, None]


def test_a_name_that_no_database_holds_is_refused_and_not_brought_again_for_ever(plant):
    intake = OutsideIn(plant.settings, plant.engine, lambda: plant.now)
    with pytest.raises(outside.SeriesRefused, match="132 characters"):
        intake.take("series.dwd", JSON.replace(b"temperature", b"t" * 128))
    intake.take("series.dwd", JSON.replace(b"temperature", b"t" * 124))
    assert len(stored(plant, f"dwd.{'t' * 124}")) == 2


def test_a_gateway_brings_no_series(plant):
    intake = OutsideIn(plant.settings, plant.engine, lambda: plant.now)
    with pytest.raises(outside.SeriesRefused, match="dot"):
        intake.take("gw-1", JSON)
    intake.take("series.dwd", JSON)
    assert stored(plant, "dwd.temperature") == [(T0, 173), (T0 + 1800, -20)]
