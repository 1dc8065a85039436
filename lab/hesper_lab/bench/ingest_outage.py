"""A store that is down or full for a while: what gateways hold, and how fast it drains afterwards.

In a paced run, once every meter has been heard, InfluxDB is killed and started again; the embedded
store's process finds its disk full (it may write no file for so long), and then has room again.
Readings go on falling due; what finds no room in a gateway's window waits there. The run ends with
every batch receipted, and the store is read back: each reading must be there exactly once.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hesper_cloud import quantities
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store

from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.ingest_batches import ROWS
from hesper_lab.bench.ingest_run import Load, Moment, drive
from hesper_lab.bench.rows import Row, row
from hesper_lab.site import StoreKind

READINGS_PER_S: Final = 6_700.0
"""Twelve million readings in half an hour, the larger of the loads that users name."""

FACTOR: Final = 10.0
_BEFORE_S: Final = 5.0
_DAY_S: Final = 86_400


@dataclass(slots=True)
class Outage:
    """Takes the store away at its time and gives it back; called each second of a run."""

    store: StoreKind
    begins_s: float
    ends_s: float
    down: bool = False

    def __call__(self, head_end: HeadEnd, moment: Moment) -> None:
        """Do what is due at this moment."""
        if not self.down and self.begins_s <= moment.seconds < self.ends_s:
            self._take_away(head_end)
            self.down = True
        elif self.down and moment.seconds >= self.ends_s:
            self._give_back(head_end)
            self.down = False
            self.ends_s = moment.seconds

    def _take_away(self, head_end: HeadEnd) -> None:
        if self.store == "influx":
            head_end.children["influx"].kill()
        else:
            _largest_file(head_end, 0)

    def _give_back(self, head_end: HeadEnd) -> None:
        if self.store == "influx":
            head_end.children["influx"].start()
        else:
            _largest_file(head_end, resource.RLIM_INFINITY)


def _largest_file(head_end: HeadEnd, octets: int) -> None:
    """Let the head end write no file beyond so many octets."""
    limits = (octets, resource.RLIM_INFINITY)
    resource.prlimit(head_end.children["cloud"].pid, resource.RLIMIT_FSIZE, limits)


def run(load: Load, store: StoreKind, outage_s: float) -> list[Row]:
    """Measure one outage; a run lasts until the backlog should be gone twice over."""
    begins_s = _BEFORE_S
    ends_s = begins_s + outage_s
    seconds = ends_s + max(30.0, 2 * outage_s / (FACTOR - 1))
    outage = Outage(store, begins_s, ends_s)
    rate = load.per_second or READINGS_PER_S
    meters = max(load.shape, int(rate * begins_s / ROWS))
    gateways = min(load.gateways, meters // load.shape)  # each has a batch's meters
    paced = replace(load, seconds=seconds, meters=meters, per_second=rate, gateways=gateways)
    names = [f"gw-{number}" for number in range(gateways)]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        running(Path(name) / "site", store, names) as head_end,
    ):
        answer, _, moments = drive(head_end, paced, names, outage)
        head_end.children["cloud"].stop()
        stored, distinct = _stored(head_end)
    return [*rows(outage, moments, rate), *_losses(answer["readings"], stored, distinct)]


def rows(outage: Outage, moments: Sequence[Moment], a_second: float) -> list[Row]:
    """Return what was held, and how fast it drained beside `a_second` new readings a second.

    It is drained when no more than a second's readings wait for their receipts. The rate counts
    from the last moment without a receipt; until then the store was starting.
    """
    up = next(moment for moment in moments if moment.seconds >= outage.ends_s)
    after = [each for each in moments if each.seconds >= up.seconds]
    begun = [each for each in after if each.receipted == up.receipted][-1]
    level = (each for each in after if each.seconds > begun.seconds)
    drained = next((each for each in level if each.due - each.receipted <= a_second), moments[-1])
    took_s = drained.seconds - begun.seconds
    speed = (drained.receipted - begun.receipted) / took_s / a_second
    name = f"ingest.outage.{outage.store}"
    return [
        row(f"{name}.seconds", up.seconds - outage.begins_s, "s"),
        row(f"{name}.rate", a_second, "readings/s"),
        row(f"{name}.held", begun.due - begun.receipted, "readings"),
        row(f"{name}.start_s", begun.seconds - up.seconds, "s"),
        row(f"{name}.drain_s", took_s, "s"),
        row(f"{name}.drain", speed, "× real time/s", FACTOR),
    ]


def _losses(receipted: float, stored: int, distinct: int) -> list[Row]:
    return [
        row("ingest.outage.receipted", receipted, "readings"),
        row("ingest.outage.lost", receipted - distinct, "readings", 0.0),
        row("ingest.outage.doubled", stored - distinct, "readings", 0.0),
    ]


def _stored(head_end: HeadEnd) -> tuple[int, int]:
    """Return how many readings the store holds, and how many meters and times those are."""
    store = open_store(Settings.load(head_end.site.cloud / "cloud.toml"))
    now = int(time.time())
    stored, distinct = 0, set[tuple[str, int]]()
    try:
        for part in store.rows(quantities.LOAD_PROFILE, now - _DAY_S, now + _DAY_S):
            stored += len(part.captured_at)
            names = (part.meters[place] for place in part.meter_index)
            distinct.update(zip(names, part.captured_at.tolist(), strict=True))
    finally:
        store.close()
    return stored, len(distinct)
