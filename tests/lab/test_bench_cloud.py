"""The benchmarks of the cloud: everything real, small, every value accounted for. Not how fast."""

from __future__ import annotations

import json
import time

import pytest
from hesper_cloud.ingest.decode import decode
from hesper_cloud.ingest.message import Delivery, Message
from hesper_contracts.frame import Kind
from hesper_lab import system
from hesper_lab.bench import ingest, ingest_outage, ingest_run, report, store
from hesper_lab.bench.ingest_batches import ROWS, Columns, Json, name_of
from hesper_lab.bench.ingest_run import Load, Moment
from hesper_lab.site import PACKAGES

EPOCH = "00112233445566ff"


def needs_mosquitto() -> None:
    if system.find("mosquitto", PACKAGES / "mosquitto") is None:
        pytest.skip("mosquitto is not on this machine")


@pytest.mark.parametrize("form", [Columns, Json])
@pytest.mark.parametrize("shape", [1, 20])
def test_batches_are_those_of_the_meters_and_the_turn(
    form: type[Columns | Json], shape: int
) -> None:
    start = int(time.time()) - 1000
    batches = form(shape, start)
    for sequence, turn in ((1, 0), (2, 7)):
        meters = range(100, 100 + shape)
        payload = batches.payload(EPOCH, sequence, meters, turn)
        message = Message("", "gw-1", Kind.READINGS, payload, Delivery(1, 1, 1), 0.0, time.time())
        found = decode(message)
        (block,) = found.blocks
        assert found.batch is not None
        assert (found.batch.epoch, found.batch.sequence) == (EPOCH, sequence)
        assert block.meters == tuple(map(name_of, meters))
        assert list(block.captured_at[:ROWS]) == [start + turn * ROWS + row for row in range(ROWS)]
        assert len(block.quantities) == 8
        assert (block.values.min(axis=1) > 0).all()


@pytest.mark.parametrize("other", [False, True], ids=["columns", "json over TLS"])
def test_ingest_counts_every_reading_and_its_share_of_the_work(*, other: bool) -> None:
    needs_mosquitto()
    load = Load(shape=10, seconds=0.5, meters=200, gateways=2, window=2, json=other, tls=other)
    found = ingest_run.measure(load)
    assert found.readings > 0
    assert found.readings % (10 * ROWS) == 0
    assert found.octets > 0
    assert found.stored_octets > 0
    assert {"broker", "gateways (benchmark)", "head end: store"} <= set(found.shares)
    names = {row["name"] for row in ingest._rows("one", found)}
    assert {"one", "one.p99_ms", "one.wire.bytes", "one.disk.bytes"} <= names
    assert found.moments[-1].receipted == found.readings
    assert found.rss_mb(1.0) == found.moments[-1].rss_mb > 0


def test_the_store_is_filled_and_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--store", "duckdb", "--meters", "12", "--days", "2", "--years", "1"]
    monkeypatch.setattr(store, "_ASKED", 3)
    report.run("store", arguments, as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"store.latest_ms.duckdb", "store.year_ms.duckdb", "store.fleet_ms.duckdb"} <= set(rows)
    assert all(row["unit"] in {"ms", "s", "readings/s"} for row in rows.values())


def test_an_outage_is_told_by_what_was_held_and_how_it_drained() -> None:
    outage = ingest_outage.Outage("influx", begins_s=5.0, ends_s=10.0)
    moments = [
        Moment(9.0, 900.0, 500.0, 1.0),
        Moment(10.0, 1000.0, 500.0, 1.0),  # the store is up again
        Moment(11.0, 1100.0, 500.0, 1.0),  # and takes the first readings
        Moment(12.0, 1200.0, 900.0, 1.0),
        Moment(13.0, 1300.0, 1200.0, 1.0),  # no more than a second's readings wait
        Moment(14.0, 1400.0, 1400.0, 1.0),
    ]
    found = {row["name"]: row["value"] for row in ingest_outage.rows(outage, moments, 100.0)}
    assert found["ingest.outage.influx.seconds"] == 5.0
    assert found["ingest.outage.influx.held"] == 600.0
    assert found["ingest.outage.influx.start_s"] == 1.0
    assert found["ingest.outage.influx.drain_s"] == 2.0
    assert found["ingest.outage.influx.drain"] == 3.5


def test_options_are_for_those_that_have_them() -> None:
    assert ingest.options(["--seconds", "2", "--full"]).full
    with pytest.raises(Exception, match="has no options"):
        report.run("sim", ["--seconds", "2"], as_json=True)
