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
from hesper_cloud.stores.port import Block, Group, Quantity, StoreUnavailable

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


def block(profile: str, meter: str, *quantities: Quantity, at: int = T0) -> Block:
    none = np.zeros(1, np.int64)
    values = np.arange(len(quantities))[:, None]
    return Block(profile, quantities, (meter,), none, none + at, none, none, at + 5, values, None)


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


def test_some_days_come_as_more_days_do(influx_url: str) -> None:
    store = InfluxStore(InfluxV1(influx_url, f"streams-{secrets.token_hex(4)}"))
    of_two = block(LOAD, "M1", ENERGY), block(LOAD, "M2", ENERGY, VOLTAGE)
    store.write(Group({}, list(of_two), T0 * 1000))
    few, many = (list(store.rows(LOAD, T0, T0 + days * 86_400)) for days in (1, 3))
    for part, same in zip(few, many, strict=True):
        assert (part.quantities, part.meters) == (same.quantities, same.meters)
        for name in ("values", "missing", "captured_at", "received_at", "stored_at_ms"):
            assert np.array_equal(getattr(part, name), getattr(same, name))
    assert few[0].missing.tolist() == [[False, False], [True, False]]
    store.close()


def test_an_answer_that_the_server_cuts_short_is_none(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("INFLUXDB_HTTP_MAX_ROW_LIMIT", "2")
    store = InfluxStore(InfluxV1(request.getfixturevalue("influxd").url, "hesper"))
    for meters in (range(3), (1, 1, 1)):  # whole series are left out; rows of one
        blocks = [block(LOAD, f"M{meter}", ENERGY, at=T0 + n) for n, meter in enumerate(meters)]
        store.write(Group({}, blocks, T0 * 1000))
        with pytest.raises(StoreUnavailable, match="max-row-limit"):
            list(store.rows(LOAD, T0, T0 + 9, [f"M{meter}" for meter in meters]))
    store.close()


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
