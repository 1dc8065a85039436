"""Readings republished on a real Mosquitto under the real access file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.exports.outlet import Cursor, Outlet
from hesper_cloud.exports.republish import Republish, message
from hesper_cloud.job_settings import RepublishSettings
from hesper_cloud.settings import BrokerSettings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity, Reading, ReadValue
from hesper_contracts.quality import Quality

PROFILE, ENERGY, VOLTAGE = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.32.7.0.255"
T0 = 1_790_000_100


def block(first: int, count: int, by: int = 0) -> Block:
    at = T0 + 900 * np.arange(first, first + count, dtype=np.int64)
    return Block(
        profile=PROFILE,
        quantities=(Quantity(ENERGY, 0, 30), Quantity(VOLTAGE, -1, 35)),
        meters=("M+1",),
        meter_index=np.zeros(count, dtype=np.int64),
        captured_at=at,
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.zeros(count, dtype=np.int64),
        received_at=T0,
        values=np.stack([np.arange(first, first + count) + by, np.full(count, 2301)]),
        missing=None,
    )


def test_a_message_is_exact_and_says_its_doubts() -> None:
    values = (ReadValue(ENERGY, 12, 1, 30), ReadValue(VOLTAGE, 2301, -1, 35))
    doubted = int(Quality.OUT_OF_RANGE)
    found = Reading("M1", PROFILE, T0, 0, doubted, T0, T0 * 1000, values, 1)
    told = json.loads(message(found) or b"")
    assert told["values"] == {
        ENERGY: {"value": "120", "unit": "Wh"},
        VOLTAGE: {"value": "230.1", "unit": "V"},
    }
    assert (told["codes"], told["doubted"], told["revision"]) == (["2.5.256"], True, 1)
    assert set(json.loads(message(found, (ENERGY,)) or b"")["values"]) == {ENERGY}
    assert message(found, ("1.0.2.8.0.255",)) is None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    yield made
    made.close()


@pytest.mark.integration
def test_what_is_stored_is_republished_once_and_goes_on_after_a_restart(
    connected_outlet: Callable[[], Outlet],
    mqtt_reader: Callable[[str], Any],
    store: DuckDbStore,
    tmp_path: Path,
) -> None:
    wanted = RepublishSettings(enabled=True)

    first, second = connected_outlet(), connected_outlet()
    reader, others = mqtt_reader("out.mdm"), [mqtt_reader("gw-1"), mqtt_reader("out.billing")]
    store.write(Group({}, [block(0, 3)], T0 * 1000))
    republish = Republish(first, wanted, store, tmp_path)
    republish.turn()
    told = [reader.next() for _ in range(3)]
    assert {topic for topic, _ in told} == {f"hesper/v1/cloud/out/M%2B1/{PROFILE}"}
    assert [each["values"][ENERGY]["value"] for _, each in told] == ["0", "1", "2"]
    first.close()
    store.write(Group({}, [block(-1, 2, by=100)], T0 * 1000 + 5000))
    again = Republish(second, wanted, store, tmp_path)
    again.turn()
    late, corrected = reader.next()[1], reader.next()[1]
    assert (late["revision"], late["captured_at"] < told[0][1]["captured_at"]) == (0, True)
    assert (corrected["revision"], corrected["values"][ENERGY]["value"]) == (1, "100")
    again.turn()
    assert reader.messages.empty()
    assert all(other.messages.empty() for other in others), "only who is told so reads raw values"


def test_a_cursor_outlives_a_power_cut(tmp_path: Path, outlives: Callable[[Path], bool]) -> None:
    """One that is empty begins at the oldest reading that is stored."""
    cursor = Cursor(tmp_path / "republish.cursor")
    for place in ("one", "two"):
        cursor.move(place)
        assert cursor.read() == place
        assert outlives(tmp_path / "republish.cursor")


def test_nothing_is_republished_unless_told(store: DuckDbStore, tmp_path: Path) -> None:
    Republish(Outlet(BrokerSettings(port=1)), RepublishSettings(), store, tmp_path).turn()
    assert not (tmp_path / "republish.cursor").exists()
