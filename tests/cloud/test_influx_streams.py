"""Readings of InfluxDB in bulk: which quantities a fleet's columns have, and what that costs."""

import secrets
from collections.abc import Iterator

import numpy as np
import pytest
from hesper_cloud.stores import influx_streams
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import layout_id, layout_line
from hesper_cloud.stores.influx_server import InfluxV1, Table
from hesper_cloud.stores.port import Block, Group, Quantity

pytestmark = pytest.mark.integration

T0 = 1_790_000_100
LOAD, DAILY = "1.0.99.1.0.255", "1.0.99.2.0.255"
ENERGY, VOLTAGE = Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35)
EXPORT = Quantity("1.0.2.8.0.255", 0, 30)


class Listening(InfluxV1):
    """A server that remembers what it was asked."""

    def __init__(self, url: str, database: str) -> None:
        super().__init__(url, database)
        self.asked: list[str] = []

    def query(self, influxql: str, precision: str = "s") -> Iterator[Table]:
        self.asked.append(influxql)
        return super().query(influxql, precision)  # type: ignore[arg-type]


def block(profile: str, meter: str, *quantities: Quantity) -> Block:
    none = np.zeros(1, np.int64)
    values = np.arange(len(quantities))[:, None]
    return Block(profile, quantities, (meter,), none, none + T0, none, none, T0 + 5, values, None)


def stored(store: InfluxStore) -> list[tuple[object, ...]]:
    """Returns what comes of the load profile: quantities, meters and values of each part."""
    parts = store.rows(LOAD, T0, T0 + 1)
    return [(part.quantities, part.meters, part.values.tolist()) for part in parts]


def test_quantities_of_a_fleet_are_known_without_a_look_at_its_readings(
    influx_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"streams-{secrets.token_hex(4)}"
    first, second = (Listening(influx_url, database) for _ in range(2))
    store = InfluxStore(first)
    of_two = block(LOAD, "M1", ENERGY), block(LOAD, "M2", ENERGY, VOLTAGE)
    store.write(Group({}, [*of_two, block(DAILY, "M1", EXPORT)], T0 * 1000))
    named = stored(store)
    assert named == [((ENERGY, VOLTAGE), ("M1", "M2"), [[0, 0], [0, 1]])]
    assert any("distinct(layout)" in each for each in first.asked)
    monkeypatch.setattr(influx_streams, "_NAMED_AT_MOST", 1)
    first.asked.clear()
    assert stored(store) == named
    store.close()
    store = InfluxStore(second)  # one that has just been started
    assert stored(store) == named
    store.close()
    assert not any("distinct(layout)" in each for each in first.asked + second.asked)


def test_a_layout_of_which_no_profile_is_known_may_be_of_any(influx_url: str) -> None:
    server = InfluxV1(influx_url, f"streams-{secrets.token_hex(4)}")
    server.prepare()
    line = layout_line(LOAD, (ENERGY,)).replace(f",profile={LOAD}", "")
    server.write(f"{line}\n{layout_line(DAILY, (EXPORT,))}".encode(), "s")
    layouts = Layouts(server, sole_writer=True)
    layouts.load()
    assert layouts.of_profile(LOAD) == [layout_id((ENERGY,))]
    assert sorted(layouts.of_profile(DAILY)) == sorted(map(layout_id, ((ENERGY,), (EXPORT,))))
    server.close()
