"""Reading back: latest values, a meter's day and year, the fleet's month, on both stores.

DuckDB: 10 000 meters × 30 days of quarter hours and one meter × 3 years, written through the port
and then tended as the jobs do, so that days that are over are sealed, or packed, and summed up.
InfluxDB takes a tenth of the meters by default, because writing them takes it minutes; there it is
also measured what making the fleet's sums of a day again costs. Every answer is checked: a curve
that has not as many points as were written ends the run.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from hesper_cloud.latest import LatestValues
from hesper_cloud.settings import InfluxSettings, Settings, StoreSettings
from hesper_cloud.stores.opening import open_store
from hesper_cloud.stores.port import Block, Group, Quantity, ReadingStore

from hesper_lab import influx_files, system
from hesper_lab.bench.ingest_batches import name_of
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s
from hesper_lab.ports import accepts
from hesper_lab.processes import Child, wait_until
from hesper_lab.site import PACKAGES, Site, StoreKind, Wishes

PERIOD_S: Final = 900
_DAY_S: Final = 86_400
_PER_DAY: Final = _DAY_S // PERIOD_S
_YEAR_DAYS: Final = 365
_LONG: Final = "HESLONG0001"
_PROFILE: Final = "1.0.99.1.0.255"
_ENERGY: Final = "1.0.1.8.0.255"
_QUANTITIES: Final = (
    Quantity(_ENERGY, 0, 30),
    Quantity("1.0.1.7.0.255", 0, 27),
    Quantity("1.0.31.7.0.255", -2, 33),
    Quantity("1.0.32.7.0.255", -1, 35),
)
_ROWS_AT_ONCE: Final = 200_000
_ASKED: Final = 25
_FEW: Final = 5
_RUNNING: Final = _PER_DAY // 2  # captures of the running day
_PER_S: Final = 100_000.0  # readings that come in while a day is asked for
_SHORT_TURN_S: Final = 4.0  # a store ends a turn after five seconds
_RESTED_S: Final = 3601  # until sums that were made void are made again
_LISTENS_WITHIN_S: Final = 30.0


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench store", description=__doc__)
    parser.add_argument("--store", choices=("duckdb", "influx"), help="one; both without")
    parser.add_argument("--meters", type=int, help="10 000 on DuckDB, 1000 on InfluxDB without")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--years", type=int, default=3, help="of the one meter with a long history")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Fill and measure the stores that are asked for."""
    rows: list[Row] = []
    if asked.store != "influx":
        rows += _measured("duckdb", asked.meters or 10_000, asked)
    if asked.store != "duckdb":
        rows += _measured("influx", asked.meters or 1_000, asked)
    return rows


def _measured(kind: StoreKind, meters: int, asked: argparse.Namespace) -> list[Row]:
    end = int(time.time()) // _DAY_S * _DAY_S
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        _opened(kind, Path(name)) as (store, server),
    ):
        begun = time.monotonic()
        count = _fill(store, meters, asked.days, asked.years, end)
        spent_s = time.monotonic() - begun
        tended_s = _tend(store, end + 2 * _DAY_S)
        return [
            row(f"store.fill.{kind}", count / spent_s, "readings/s"),
            row(f"store.tend_s.{kind}", tended_s, "s"),
            *([] if server is None else _summed_again(store, server, asked.days, end)),
            *_questions(store, kind, meters, asked, end),
        ]


def _tend(store: ReadingStore, now: int) -> float:
    """Do all upkeep that is due; return how long it took."""
    begun = turn_begun = time.monotonic()
    store.maintain(now)
    while time.monotonic() - turn_begun > _SHORT_TURN_S:  # a full turn may have left something
        turn_begun = time.monotonic()
        store.maintain(now)
    return time.monotonic() - begun


def _summed_again(store: ReadingStore, server: Child, days: int, end: int) -> list[Row]:
    """Make the sums of the last days void, by erasing a meter that is not there; do the upkeep."""
    store.erase("nobody", end - days * _DAY_S, end)
    own_s, server_s = time.process_time(), cpu_s(server.pid)
    _tend(store, end + 2 * _DAY_S + _RESTED_S)
    own_s, server_s = time.process_time() - own_s, cpu_s(server.pid) - server_s
    return [
        row("store.sums_cpu_ms.influx", 1e3 * own_s / days, "ms/day"),
        row("store.sums_cpu_ms.influx.server", 1e3 * server_s / days, "ms/day"),
    ]


def _questions(
    store: ReadingStore, kind: StoreKind, meters: int, asked: argparse.Namespace, end: int
) -> list[Row]:
    latest = LatestValues()
    begun = time.monotonic()
    latest.load(store)
    loaded_s = time.monotonic() - begun
    last_year = (end - _YEAR_DAYS * _DAY_S, end)
    month = (end - asked.days * _DAY_S, end)
    per_year = min(_YEAR_DAYS, asked.years * _YEAR_DAYS) * _PER_DAY

    def day(turn: int, until: int = end) -> int:
        meter = name_of(turn * 397 % meters)
        return len(store.series(meter, _PROFILE, _ENERGY, until - _DAY_S, until, None).times)

    def sealed(turn: int) -> int:
        return day(turn, end - _DAY_S // 2)

    def year(_: int) -> int:
        return len(store.series(_LONG, _PROFILE, _ENERGY, *last_year, None).times)

    def fleet(_: int) -> int:
        return len(store.fleet_series(_PROFILE, _ENERGY, *month, _DAY_S).times)

    def newest(_: int) -> int:
        return len(latest.newest(_ENERGY).meters)

    def fleet_so_far(_: int) -> int:
        return len(store.fleet_series(_PROFILE, _ENERGY, month[0], now, _DAY_S).times)

    def load(_: int) -> int:
        two_days = (now - 2 * _DAY_S, now)
        return len(store.fleet_increase(_PROFILE, _ENERGY, *two_days, PERIOD_S).times)

    first_fleet_ms = _ms(fleet, asked.days, 1)
    rows = [
        row(f"store.latest_ms.{kind}", _ms(newest, meters + 1), "ms", 5.0),
        row(f"store.day_ms.{kind}", _ms(day, _PER_DAY), "ms", 5.0),
        row(f"store.day_ms.sealed.{kind}", _ms(sealed, _PER_DAY), "ms", 5.0),
        row(f"store.year_ms.{kind}", _ms(year, per_year), "ms", 20.0),
        row(f"store.fleet_ms.{kind}", _ms(fleet, asked.days), "ms", 150.0),
        row(f"store.fleet_ms.first.{kind}", first_fleet_ms, "ms", 150.0),
        row(f"store.load_latest_s.{kind}", loaded_s, "s"),
    ]
    _write(store, meters, end, _RUNNING)
    now = end + _RUNNING * PERIOD_S
    rows += [
        row(f"store.fleet_ms.running.{kind}", _ms(fleet_so_far, asked.days + 1, _FEW), "ms", 150.0),
        row(f"store.load_ms.running.{kind}", _ms(load, 2 * _PER_DAY - 1, _FEW), "ms"),
    ]
    with _ingesting(store, meters, now):
        rows.append(row(f"store.day_ms.ingesting.{kind}", _ms(day, _PER_DAY), "ms", 5.0))
    return rows


@contextmanager
def _ingesting(store: ReadingStore, meters: int, end: int) -> Iterator[None]:
    """Write beside, a quarter hour of the fleet after the other, as many as `_PER_S` asks for."""
    stop = threading.Event()
    names = tuple(map(name_of, range(meters)))

    def write() -> None:
        for quarter in itertools.count():
            begun = time.monotonic()
            start = end + quarter * PERIOD_S
            store.write(Group({}, [_block(names, start, 1)], (start + PERIOD_S) * 1000))
            if stop.wait(max(0.0, meters / _PER_S - (time.monotonic() - begun))):
                return

    beside = threading.Thread(target=write)
    beside.start()
    try:
        yield
    finally:
        stop.set()
        beside.join()


def _ms(ask: Callable[[int], int], expected: int, times: int = _ASKED) -> float:
    """Return the median of several askings, but the first, each with as much as was expected."""
    delays = []
    for turn in range(times):
        begun = time.perf_counter()
        found = ask(turn)
        delays.append(time.perf_counter() - begun)
        if found != expected:
            raise ValueError(f"{found} came back where {expected} were written")
    return 1e3 * statistics.median(delays[1:] or delays)


def _fill(store: ReadingStore, meters: int, days: int, years: int, end: int) -> int:
    """Write everything, day by day as it would have come; return how many readings."""
    count = 0
    for day in range(days, 0, -1):
        count += _write(store, meters, end - day * _DAY_S, _PER_DAY)
    for year in range(years, 0, -1):
        start = end - year * _YEAR_DAYS * _DAY_S
        block = _block((_LONG,), start, _YEAR_DAYS * _PER_DAY)
        count += store.write(Group({}, [block], (start + _YEAR_DAYS * _DAY_S) * 1000)).new
    return count


def _write(store: ReadingStore, meters: int, start: int, captures: int) -> int:
    """Write what the fleet captured from an instant on; return how many readings."""
    count, at_once = 0, max(1, _ROWS_AT_ONCE // captures)
    for first in range(0, meters, at_once):
        names = tuple(map(name_of, range(first, min(first + at_once, meters))))
        block = _block(names, start, captures)
        count += store.write(Group({}, [block], (start + captures * PERIOD_S) * 1000)).new
    return count


def _block(names: tuple[str, ...], start: int, per_meter: int) -> Block:
    total = len(names) * per_meter
    captured_at = np.tile(start + PERIOD_S * np.arange(per_meter), len(names))
    chance = np.random.default_rng(start)
    power = chance.integers(50, 3_000, total)
    energy = captured_at // 9 + np.repeat(np.arange(len(names)), per_meter)
    return Block(
        _PROFILE,
        _QUANTITIES,
        names,
        np.repeat(np.arange(len(names)), per_meter),
        captured_at,
        np.zeros(total, np.int64),
        np.zeros(total, np.int64),
        start + per_meter * PERIOD_S,
        np.stack([energy, power, power * 100 // 230, chance.integers(2_250, 2_350, total)]),
        None,
    )


@contextmanager
def _opened(kind: StoreKind, folder: Path) -> Iterator[tuple[ReadingStore, Child | None]]:
    site = Site.open(folder / "site", Wishes(store=kind, tcp_meters=1))
    server = _influxd(site) if kind == "influx" else None
    try:
        if server is not None:
            server.start()
            wait_until(lambda: accepts(site.ports.influx), server, _LISTENS_WITHIN_S, "listening")
        url = f"http://127.0.0.1:{site.ports.influx}"
        settings = Settings(
            state=folder, store=StoreSettings(kind=kind, influx=InfluxSettings(url=url))
        )
        store = open_store(settings)
        try:
            yield store, server
        finally:
            store.close()
    finally:
        if server is not None:
            server.stop()
        site.lock.close()


def _influxd(site: Site) -> Child:
    program = system.require(system.INFLUXD, PACKAGES, lambda _: None)
    command: list[str | Path] = [program.path, "-config", influx_files.write(site)]
    environment = influx_files.environment(program)
    return Child("influx", command, site.logs / "influx.log", environment)
