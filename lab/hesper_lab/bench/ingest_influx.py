"""Ingest into InfluxDB, beside what the same server takes of line protocol that is ready-made.

The ready-made lines are those that the adapter writes of the same meters, kept in memory and posted
to a database of their own, over one connection and over as many as the adapter uses: nothing but
the server works. The ratio to the better of the two is what broker, decoding, rules and receipts
leave of it. A meter that a server does not know yet costs it many times a reading, so each begins
with its own share.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Final

import httpx
import numpy as np
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

TARGET: Final = 90.0
_BATCHES: Final = 16
_READY: Final = 24
_METERS: Final = 100
_ANSWERS_WITHIN_S: Final = 60.0
_EPOCH: Final = "00" * 8


def run(load: Load) -> list[Row]:
    """Measure ours and both others, each for the load's seconds."""
    measured = measure(load, "influx")
    ours, (one, several) = measured.per_second, ready_made(load)
    alone = max(one, several)
    return [
        row("ingest.columnar.influx", ours, "readings/s", peer=("its own lines", alone)),
        row("ingest.columnar.influx.ratio", 100 * ours / alone, "% of lines alone/s", TARGET),
        row("ingest.columnar.influx.alone.one", one, "readings/s"),
        row("ingest.columnar.influx.alone.several", several, "readings/s"),
        *ingest_stages.rows(measured.shares, measured.readings),
    ]


def ready_made(load: Load) -> tuple[float, float]:
    """Return how many readings a second the server takes over one connection, and over several."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        head_end.running(Path(name) / "site", "influx", ["gw-0"]) as running,
    ):
        running.children["cloud"].stop()
        url = f"http://127.0.0.1:{running.site.ports.influx}"
        return _posted(url, "one", load, 1), _posted(url, "several", load, WRITES_AT_ONCE)


def _posted(url: str, database: str, load: Load, connections: int) -> float:
    """Post for so long, a body on each connection at once; the time to make them does not count."""
    bodies = _bodies(load)
    with (
        httpx.Client(base_url=url, timeout=_ANSWERS_WITHIN_S) as client,
        ThreadPoolExecutor(connections) as pool,
    ):
        client.post("/query", params={"q": f'CREATE DATABASE "{database}"'}).raise_for_status()

        def post(body: bytes) -> None:
            params = {"db": database, "precision": "s"}
            client.post("/write", params=params, content=body).raise_for_status()

        count, spent_s = 0, 0.0
        while spent_s < load.seconds:
            ready = list(islice(bodies, _READY))
            begun = time.monotonic()
            list(pool.map(post, ready))
            spent_s += time.monotonic() - begun
            count += len(ready) * _BATCHES * _METERS * ROWS
    return count / spent_s


def _bodies(load: Load) -> Iterator[bytes]:
    moulds = Columns(_METERS, int(time.time()) - 3000)
    for first in itertools.count(0, _BATCHES):
        parts = (_lines(moulds, place, load.meters) for place in range(first, first + _BATCHES))
        yield b"".join(chain.from_iterable(parts))


def _lines(moulds: Columns, place: int, meters: int) -> Iterator[bytes]:
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
        yield octets_of(reading_lines(rows, section.meters, Stamp(turn, turn)))
