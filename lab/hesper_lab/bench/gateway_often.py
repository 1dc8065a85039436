"""34 meters, 34 values of each, every 10 s: what that costs, and whether anything grows or is late.

Meters, broker and agent are processes of their own. After everything was read once, visits are
counted for a while by what the agent stored: for every meter and every ten seconds, one row with
all the values. Two rows that lie twenty seconds apart have a missed tick between them, whatever
came later.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

from hesper_contracts import batch, columns
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import Kind
from hesper_contracts.readings import REGISTER_SNAPSHOT
from hesper_contracts.signing import Signer
from hesper_dlms import obis
from hesper_sim import fleet
from hesper_sim.registers import REGISTERS

from hesper_lab import toml_text
from hesper_lab.bench.gateway_receipts import giving
from hesper_lab.bench.gateway_site import NEVER_S, agent, await_readings, broker, configure
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s, rss_mb_of, serving

METERS: Final = 34
VALUES: Final = 34
EVERY_S: Final = 10
TEMPLATE: Final = "hesper-often"
_SETTLE_S: Final = 2 * EVERY_S
_PERCENT: Final = 100
_RELAY: Final = 1
"""The state of the relay comes beside the registers."""


def run(meters: int, seconds: float) -> list[Row]:
    """Measure so many meters for so many seconds."""
    settings = fleet.FleetSettings(
        tcp=meters, shared=0, dial_in=0, rs485=0, push=False, replay_s=10
    )
    plan = fleet.plan(settings)
    with tempfile.TemporaryDirectory() as name, serving(settings, Path(name)) as ready:
        folder, ingest = Path(name), Signer.generate()
        with broker(folder) as port, giving(port, ingest):
            _write_template(folder)
            schedule = {"profile_s": NEVER_S, "events_s": NEVER_S, "snapshot_s": float(EVERY_S)}
            configure(
                folder,
                plan,
                ready["listeners"],
                port,
                ingest,
                template=TEMPLATE,
                schedule=schedule | {"jitter_s": float(EVERY_S)},
            )
            with agent(folder) as pid:
                await_readings(folder, meters)
                time.sleep(_SETTLE_S)
                at_start, before_s, begun = rss_mb_of(pid), cpu_s(pid), time.time()
                time.sleep(seconds)
                ended = time.time()
                spent_s, at_end = cpu_s(pid) - before_s, rss_mb_of(pid)
                time.sleep(EVERY_S)
        missed = _missed(folder, meters, begun, ended)
    return [
        row("gateway.34x34.cpu", _PERCENT * spent_s / (ended - begun), "% of a core", 100.0),
        row("gateway.34x34.rss_mb_start", at_start, "MB"),
        row("gateway.34x34.rss_mb_end", at_end, "MB"),
        row("gateway.34x34.missed", float(missed), "ticks", 0.0),
    ]


def _write_template(folder: Path) -> None:
    names = [obis.text(name) for name in list(REGISTERS)[:VALUES]]
    if len(names) < VALUES:
        raise ValueError(f"a simulated meter has {len(names)} registers")
    document = {
        "extends": "hesper-sim",
        "description": "the simulated meter, read every ten seconds",
        "verified": "simulated",
        "limits": {"with_list_max": VALUES},
        "times": {"keep_open_s": 3.0 * EVERY_S},
        "snapshot": {"registers": names},
    }
    (folder / "templates").mkdir()
    path = folder / "templates" / f"{TEMPLATE}.toml"
    path.write_text(toml_text.text(document), encoding="utf-8")


def _missed(folder: Path, meters: int, begun: float, ended: float) -> int:
    """Return how many ticks of a stretch have no row: one for every ten seconds too many between.

    Raises:
        ValueError: a row has not all the values.
    """
    taken: defaultdict[str, list[int]] = defaultdict(list)
    for section in _snapshots(folder / "agent" / "gateway.db"):
        if len(section.quantities) != VALUES + _RELAY:
            raise ValueError(f"a row has {len(section.quantities)} values")
        for index, at in zip(section.meter_index, section.captured_at, strict=True):
            if begun <= at <= ended:
                taken[section.meters[index]].append(int(at))
    silent = (meters - len(taken)) * int((ended - begun) // EVERY_S)
    return silent + sum(
        missed_between([int(begun), *sorted(times), int(ended)]) for times in taken.values()
    )


def missed_between(times: list[int]) -> int:
    """Return how many rows are missing between those of some times, epoch s."""
    return sum(max(0, round((after - at) / EVERY_S) - 1) for at, after in pairwise(times))


def _snapshots(path: Path) -> Iterator[SectionColumns]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        payloads = connection.execute(
            "SELECT payload FROM batches WHERE kind = ?", (Kind.READINGS,)
        ).fetchall()
    for (payload,) in payloads:
        sealed = batch.open_(payload)
        for section in columns.decode(sealed.body, sealed.header.encoding):
            if section.profile == REGISTER_SNAPSHOT:
                yield section
