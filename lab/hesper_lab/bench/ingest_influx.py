"""Ingest into InfluxDB, beside what the same server takes of line protocol that is ready-made.

The ready-made lines are those that the adapter writes of the same meters, as many as ours were,
kept in memory and posted without a pause to a server that is as new as ours was, over as many
connections as the adapter uses. Nothing but the server works then. The ratio is what broker,
decoding, rules and receipts leave of it; the processor time of the server, with and without them,
says whether our own requests are dearer for it. A server takes a tenth more or less from minute to
minute, so each is measured twice: ours, theirs, theirs, ours.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import numpy as np
import zstandard
from hesper_cloud.stores.influx_lines import octets_of, reading_lines
from hesper_cloud.stores.influx_writes import WRITES_AT_ONCE
from hesper_cloud.stores.port import Quantity
from hesper_cloud.stores.rows import Rows, Stamp
from hesper_contracts import batch, columns
from hesper_contracts.readings_json import logical_name_text

from hesper_lab.bench import head_end, ingest_stages
from hesper_lab.bench.ingest_batches import ROWS, Columns
from hesper_lab.bench.ingest_run import Load, measure
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s

TARGET: Final = 90.0
_BATCHES: Final = 16
_METERS: Final = 100
_ANSWERS_WITHIN_S: Final = 60.0
_BODIES_OF_A_COMMIT: Final = 7
_EPOCH: Final = "00" * 8
_pack: Final = zstandard.ZstdCompressor(level=1).compress  # two thousand bodies fit into memory
_unpack: Final = zstandard.decompress


class Taken(NamedTuple):
    """Readings that a server took, and in how many seconds of the clock, and of its own CPU."""

    readings: float
    wall_s: float
    cpu_s: float


def run(load: Load) -> list[Row]:
    """Measure ours for the load's seconds and the others with as many readings, each twice."""
    first = measure(load, "influx")
    count = max(1, round(first.readings / (_BATCHES * _METERS * ROWS)))
    theirs = _together([ready_made(load, count) for _ in range(2)])
    runs = [first, measure(load, "influx")]
    ours = _together([Taken(r.readings, r.wall_s, r.shares["influx"]) for r in runs])
    shares = {name: sum(each.shares[name] for each in runs) for name in first.shares}
    own, alone = ours.readings / ours.wall_s, theirs.readings / theirs.wall_s
    return [
        row("ingest.columnar.influx", own, "readings/s", peer=("its own lines", alone)),
        row("ingest.columnar.influx.ratio", 100 * own / alone, "% of lines alone/s", TARGET),
        row("ingest.columnar.influx.server_cpu", 1e6 * ours.cpu_s / ours.readings, "s/million",
            peer=("its own lines", 1e6 * theirs.cpu_s / theirs.readings)),
        row("ingest.columnar.influx.cores", sum(shares.values()) / ours.wall_s, "cores"),
        *ingest_stages.rows(shares, ours.readings),
    ]  # fmt: skip


def _together(runs: Sequence[Taken]) -> Taken:
    return Taken(*(sum(column) for column in zip(*runs, strict=True)))


def ready_made(load: Load, count: int) -> Taken:
    """Return what a new server takes of so many bodies of lines."""
    packed = [_pack(body) for body in islice(_bodies(load), count)]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        head_end.running(Path(name) / "site", "influx", ["gw-0"]) as running,
    ):
        running.children["cloud"].stop()
        url = f"http://127.0.0.1:{running.site.ports.influx}"
        server = running.children["influx"].pid
        before_s, begun = cpu_s(server), time.monotonic()
        _post(url, packed)
        readings = count * _BATCHES * _METERS * ROWS
        return Taken(readings, time.monotonic() - begun, cpu_s(server) - before_s)


def _post(url: str, packed: Sequence[bytes]) -> None:
    """Post bodies, one on each connection at once."""
    with (
        httpx.Client(base_url=url, timeout=_ANSWERS_WITHIN_S) as client,
        ThreadPoolExecutor(WRITES_AT_ONCE) as pool,
    ):
        client.post("/query", params={"q": 'CREATE DATABASE "ready"'}).raise_for_status()

        def post(body: bytes) -> None:
            params, lines = {"db": "ready", "precision": "s"}, _unpack(body)
            client.post("/write", params=params, content=lines).raise_for_status()

        list(pool.map(post, packed))


def _bodies(load: Load) -> Iterator[bytes]:
    now_s = int(time.time())
    moulds = Columns(_METERS, now_s - 3000)
    for number, first in enumerate(itertools.count(0, _BATCHES)):
        commit = number // _BODIES_OF_A_COMMIT
        stamp = Stamp(1000 * (now_s + commit), commit)
        places = range(first, first + _BATCHES)
        parts = (_lines(moulds, place, load.meters, stamp) for place in places)
        yield b"".join(chain.from_iterable(parts))


def _lines(moulds: Columns, place: int, meters: int, stamp: Stamp) -> Iterator[bytes]:
    """Yield the lines of one batch, as the adapter writes them; the meters take turns."""
    turn, place = divmod(place, meters // _METERS)
    payload = moulds.payload(_EPOCH, place, range(place * _METERS, (place + 1) * _METERS), turn)
    sealed = batch.open_(payload)
    for section in columns.decode(sealed.body, sealed.header.encoding):
        quantities = tuple(
            Quantity(logical_name_text(each.logical_name), each.scaler, each.unit)
            for each in section.quantities
        )
        rows = Rows(
            logical_name_text(section.profile), quantities, section.meter_index,
            section.captured_at, section.clock_status, section.quality,
            np.full(len(section), section.received_at), section.values, section.nulls, (), (),
        )  # fmt: skip
        yield octets_of(reading_lines(rows, section.meters, stamp))
