"""From publish to durable store with a signed receipt: rates, delays, and where the time goes.

Everything is real and on one machine: Mosquitto with the repository's configuration, the head end
with rules and jobs, the store, and gateways that verify every receipt (`ingest_load`). Gateways
cost two cores nothing in the field, but here they do: the table of shares says how much.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hesper_lab.bench import ingest_influx, ingest_outage, ingest_stages
from hesper_lab.bench.ingest_batches import ROWS
from hesper_lab.bench.ingest_run import Load, Measured, measure
from hesper_lab.bench.rows import Row, row

SOAK_S: Final = 600.0
PACED_READINGS_PER_S: Final = 400_000.0
_WINDOWS: Final = {500: Load.window, 100: 32, 1: 128}
"""Batches under way of each gateway, by meters a batch."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench ingest", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=Load.seconds, help="how long each row runs"
    )
    parser.add_argument("--shape", type=int, choices=(500, 100, 1), help="meters a batch; one row")
    parser.add_argument("--store", choices=("duckdb", "influx"), default="duckdb")
    parser.add_argument("--rate", type=float, help="readings a second; else as fast as it goes")
    parser.add_argument("--meters", type=int, default=Load.meters, help="distinct meters")
    parser.add_argument("--gateways", type=int, default=Load.gateways, help="connections")
    parser.add_argument("--json-form", action="store_true", help="batches in the plain JSON form")
    parser.add_argument("--tls", action="store_true", help="TLS between all and the broker")
    parser.add_argument(
        "--soak", action="store_true", help="ten minutes at 400 000 a second, or at --rate"
    )
    parser.add_argument(
        "--influx", action="store_true", help="InfluxDB beside its own line protocol; two rows"
    )
    parser.add_argument(
        "--outage", type=float, metavar="SECONDS", help="the store away for so long; its rows"
    )
    parser.add_argument(
        "--full", action="store_true", help="1 000 000 meters, 1000 gateways, TLS; one row"
    )
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Measure every row, or the one that the options describe."""
    load = Load(
        seconds=asked.seconds,
        meters=asked.meters,
        gateways=asked.gateways,
        per_second=asked.rate,
        json=asked.json_form,
        tls=asked.tls,
    )
    if asked.full:
        whole = replace(load, shape=500, meters=1_000_000, gateways=1000, window=4, tls=True)
        return _rows("ingest.full", measure(whole))
    if asked.soak:
        paced = replace(load, seconds=SOAK_S, per_second=asked.rate or PACED_READINGS_PER_S)
        return _rows("ingest.soak", measure(paced))
    if asked.influx:
        return ingest_influx.run(replace(load, shape=asked.shape or load.shape))
    if asked.outage is not None:
        rate = asked.rate or ingest_outage.READINGS_PER_S
        held = replace(load, shape=asked.shape or 100, per_second=rate)
        return ingest_outage.run(held, asked.store, asked.outage)
    if asked.shape is not None:
        one = replace(load, shape=asked.shape, window=_WINDOWS[asked.shape])
        return _rows(f"ingest.{asked.store}.{asked.shape}x{ROWS}", measure(one, asked.store))
    return _every_row(load)


def _every_row(load: Load) -> list[Row]:
    large, small = measure(load), measure(replace(load, shape=100, window=_WINDOWS[100]))
    single = measure(replace(load, shape=1, window=_WINDOWS[1]))
    json_form = measure(replace(load, shape=100, json=True))
    paced = measure(replace(load, per_second=PACED_READINGS_PER_S))
    return [
        row("ingest.columnar.duckdb", large.per_second, "readings/s", 1_000_000.0),
        row("ingest.columnar.duckdb.100x6", small.per_second, "readings/s", 600_000.0),
        row("ingest.single.duckdb", single.per_second, "readings/s", 40_000.0),
        row("ingest.json.duckdb", json_form.per_second, "readings/s", 300_000.0),
        row("ingest.p99_ms", paced.p99_ms, "ms", 250.0),
        *ingest_influx.run(load),
        row("wire.bytes", small.octets / small.readings, "B/reading", 12.0),
        row("wire.bytes.single", single.octets / single.readings, "B/reading", 25.0),
        row("disk.bytes", large.stored_octets / large.readings, "B/reading"),
        *ingest_stages.rows(large.shares, large.readings),
    ]


def _rows(name: str, measured: Measured) -> list[Row]:
    return [
        row(name, measured.per_second, "readings/s"),
        row(f"{name}.p99_ms", measured.p99_ms, "ms"),
        row(f"{name}.wire.bytes", measured.octets / measured.readings, "B/reading"),
        row(f"{name}.disk.bytes", measured.stored_octets / measured.readings, "B/reading"),
        *(
            row(f"{name}.rss_mb.{text}", measured.rss_mb(part), "MB")
            for text, part in (("quarter", 0.25), ("half_way", 0.5), ("end", 1.0))
        ),
        *ingest_stages.rows(measured.shares, measured.readings),
    ]
