"""Full cycles of the gateway's own sessions against a simulated meter in another process.

One cycle is a visit with nothing left out: a TCP connection, an association with HLS-GMAC, clock
and name, what the load profile captures, its last day (96 rows, ciphered), both states of the
relay, release. CPU time of the reading process alone, kernel included; the meter has its own. The
same with `keep_open_s` in the template: one association for all, each still asks clock and name.
And with `engine = "gurux"`, whose process counts as well.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from hesper_dlms import obis
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, TcpLine
from hesper_gateway.counters import Counters
from hesper_gateway.database import Database
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.engines.process import Engine
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import Common, MeterSession, client_system_title, relay
from hesper_gateway.sessions.reading import Past
from hesper_sim import fleet

from hesper_lab.bench import peers
from hesper_lab.bench.rows import STRETCHES, Row, row
from hesper_lab.bench.sim import serving

DAY_S: Final = 86_400
PERIOD_S: Final = 900
KEPT_S: Final = 60.0
PEERS: Final = (
    peers.Peer("gurux_dlms 1.0.203", "gurux_cycles", "gurux_dlms"),
    peers.Peer("gurux_dlms with cryptography's AES", "gurux_cycles", "gurux_dlms", True),
)
_FLEET: Final = fleet.FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False, replay_s=10)
_LATER: Final = Past(first=False, set_back_s=0.0)

Day = tuple[list[int], int | None]
"""Captures of a day (epoch s), and the last value of its last row."""


def run(seconds: float, against: tuple[peers.Peer, ...] = PEERS) -> list[Row]:
    """Measure, each for so many seconds of its CPU time."""
    (meter,) = fleet.plan(_FLEET).meters
    with tempfile.TemporaryDirectory() as name, serving(_FLEET, Path(name)) as ready:
        host, _, port = ready["listeners"][meter.line].rpartition(":")
        end = int(time.time()) // PERIOD_S * PERIOD_S
        there = _There(meter, host, int(port), Path(name))
        ours, day = asyncio.run(_ours(there, end, seconds, keep_open_s=0))
        reused, same = asyncio.run(_ours(there, end, seconds, keep_open_s=KEPT_S))
        if same != day:
            raise ValueError("an association that stays open reads another day")
        by_engine = asyncio.run(_by_engine(there, end, seconds, day))
        task = _task(meter, host, int(port), end, day, seconds)
        found = [(peer.name, peer.measure(task)) for peer in against]
    beside = [(name, measured.value) for name, measured in found if measured is not None]
    without = ("the same without reuse", ours)
    rows = [row("gateway.cycles", ours, "cycles/s", peer=peer) for peer in beside]
    rows = rows or [row("gateway.cycles", ours, "cycles/s")]
    rows.append(row("gateway.cycles.reused", reused, "cycles/s", peer=without))
    if by_engine is not None:
        own = ("our own stack", ours)
        rows.append(row("gateway.cycles.engine_gurux", by_engine, "cycles/s", peer=own))
    return rows


def _task(
    meter: fleet.MeterPlan, host: str, port: int, end: int, day: Day, seconds: float
) -> dict[str, Any]:
    return {
        "kind": "cycles",
        "seconds": seconds,
        "host": host,
        "port": port,
        "server_address": meter.server_address,
        "client": b"HSC\x00\x00\x00\x00\x02".hex(),
        "encryption_key": meter.encryption_key.hex(),
        "authentication_key": meter.authentication_key.hex(),
        "start": end - DAY_S + 1,
        "end": end,
        "times": day[0],
        "last": day[1],
    }


class _There(NamedTuple):
    """Where the meter answers, and where we keep our counters."""

    meter: fleet.MeterPlan
    host: str
    port: int
    folder: Path


async def _ours(there: _There, end: int, seconds: float, keep_open_s: float) -> tuple[float, Day]:
    database = Database(there.folder / "gateway.db", 0)
    session = _session(there, database, keep_open_s)
    try:
        day = await _cycle(session, end)
        if len(day[0]) != DAY_S // PERIOD_S:
            raise ValueError(f"a day of the simulated meter has {len(day[0])} rows")
        return await _per_second(lambda: _cycle(session, end), seconds), day
    finally:
        await session.line.aclose()
        database.close()


async def _by_engine(there: _There, end: int, seconds: float, day: Day) -> float | None:
    """Return what ``engine = "gurux"`` does, the engine's process counted too; None without it."""
    if find_spec("gurux_dlms") is None:
        return None
    database, engine = Database(there.folder / "gateway.db", 0), Engine()
    session = _session(there, database, 0, Gurux(engine))

    def spent_s() -> float:
        return time.process_time() + _spent_s(engine.process_id)

    try:
        if await _cycle(session, end) != day:
            raise ValueError("the engine reads another day")
        return await _per_second(lambda: _cycle(session, end), seconds, spent_s)
    finally:
        await engine.aclose()
        await session.line.aclose()
        database.close()


def _spent_s(process_id: int | None) -> float:
    """Return a process's CPU time, in s; see proc_pid_stat(5) for the fields."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _session(
    there: _There, database: Database, keep_open_s: float, engine: Gurux | None = None
) -> MeterSession:
    meter = there.meter
    config = MeterConfig(
        id=meter.serial,
        line="bench",
        template="hesper-sim",
        logical_device_name=meter.logical_device_name,
        server_address=meter.server_address,
        system_title=meter.system_title.hex(),
    )
    line = TcpLine(name="bench", kind="tcp", host=there.host, port=there.port)
    keys = MeterKeys(meter.encryption_key, meter.authentication_key)
    template = templates.load("hesper-sim")
    times = template.times.model_copy(update={"keep_open_s": keep_open_s})
    name = "hesper" if engine is None else "gurux"
    template = template.model_copy(update={"times": times, "engine": name})
    common = Common(
        Counters(database), client_system_title("gw-bench"), time.time, other_engine=engine
    )
    return MeterSession(config, template, keys, Line("bench", TcpCarrier(line)), common)


async def _cycle(session: MeterSession, end: int) -> Day:
    times: list[int] = []
    last: int | None = None
    async with session.reading() as reading:
        shape = await reading.shape(obis.LOAD_PROFILE_1)
        async for chunk in reading.profile(shape, end - DAY_S, _LATER):
            (rows,) = chunk.section.rows
            times += rows.captured_at
            last = rows.values[-1][-1] if rows.values[-1] else last
        await relay.read_relay(reading.association, obis.DISCONNECT_CONTROL, time.time)
    return times, last


async def _per_second(
    once: Callable[[], Awaitable[object]],
    seconds: float,
    spent_s: Callable[[], float] = time.process_time,
) -> float:
    """Return how many a second of CPU time are done, the best of some stretches."""
    best = 0.0
    for _ in range(STRETCHES):
        count, begun = 0, spent_s()
        while (taken_s := spent_s() - begun) < seconds / STRETCHES:
            await once()
            count += 1
        best = max(best, count / taken_s)
    return best
