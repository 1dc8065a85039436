"""Figures of the whole fleet for the metrics, taken every so often by a job.

Areas are a label, so they are bounded: the largest have a name, the others are one.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import Gauge
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import DeadLetter, Gateway, LongJob, Meter
from hesper_cloud.services import completeness
from hesper_cloud.services.captured import captured_lately
from hesper_cloud.services.presence import online_clause
from hesper_cloud.services.sources import Sources

MOST_AREAS = 50
MOST_HOPS = 32
NO_AREA = "none"
_HOP = re.compile(r"[a-z][a-z-]{0,23}")  # a gateway names it; no id looks so
_COMMANDS_OF = timedelta(days=7)


class _Pair(NamedTuple):
    """Two counts that belong together, the larger first: all and online, or due and stored."""

    one: int
    two: int

    def plus(self, other: "_Pair") -> "_Pair":
        return _Pair(self.one + other.one, self.two + other.two)


class FleetFigures:
    """Sets the gauges; `turn` is quick, `count_reads` looks at a day's capture times."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def turn(self) -> None:
        """Takes all figures that the databases and the disks tell."""
        sources, now = self._sources, self._sources.clock()
        with reading(sources.registry) as session:
            self._set_meters(session, now)
            _set_gateways(session, now)
            states = session.execute(select(LongJob.state, func.count()).group_by(LongJob.state))
            _set_states(metrics.LONG_JOBS, _counts(states))
            metrics.LETTERS.set(session.scalar(select(func.count()).select_from(DeadLetter)) or 0)
        with reading(sources.authority) as session:
            recent = CommandRecord.updated_at >= now - _COMMANDS_OF
            changed = session.scalars(select(CommandRecord.state).where(recent))
            _set_states(metrics.COMMANDS, Counter(changed))  # grouped, SQLite goes through all
        self._set_disks()

    def count_reads(self) -> None:
        """Counts by area the captures of a day that were due, and those that are stored."""
        sources, now = self._sources, int(self._sources.clock().timestamp())
        query = select(Meter.id, Meter.area, Meter.first_seen_at, Meter.capture_period_s)
        with reading(sources.registry) as session:
            rows = session.execute(query.where(Meter.state == "commissioned")).all()
        by_area: dict[str, dict[str, completeness.Due]] = {}
        for meter, area, since, period_s in rows:
            owing = by_area.setdefault(area or NO_AREA, {})
            owing[meter] = completeness.Due(int(since.timestamp()), period_s)
        captured = captured_lately(sources, [row[0] for row in rows], now)
        default_s = sources.settings.rules.default_capture_period_s
        counts = {}
        for area, owing in by_area.items():
            ledger = completeness.count(owing, captured, now, default_s)
            counts[area] = _Pair(int(ledger.due.sum()), int(ledger.stored.sum()))
        metrics.READS_DUE.clear()
        metrics.READS_STORED.clear()
        for area, found in _of_areas(counts).items():
            metrics.READS_DUE.labels(area).set(found.one)
            metrics.READS_STORED.labels(area).set(found.two)

    def _set_meters(self, session: Session, now: datetime) -> None:
        is_online = online_clause(session, self._sources.settings.rules, now)
        there = func.sum(case((is_online, 1), else_=0))
        query = select(Meter.area, there, func.count()).where(Meter.state == "commissioned")
        counts = {
            area or NO_AREA: _Pair(int(every), int(online))
            for area, online, every in session.execute(query.group_by(Meter.area))
        }
        metrics.METERS.clear()
        for area, found in _of_areas(counts).items():
            metrics.METERS.labels(area, "online").set(found.two)
            metrics.METERS.labels(area, "silent").set(found.one - found.two)

    def _set_disks(self) -> None:
        settings = self._sources.settings
        places: dict[str, Path | None] = {
            "state": settings.state,
            "backups": settings.backup.folder,
        }
        for place, folder in places.items():
            if folder is None or not folder.exists():
                continue
            usage = shutil.disk_usage(folder)
            metrics.DISK_FREE.labels(place).set(usage.free)
            metrics.DISK_SIZE.labels(place).set(usage.total)


def _counts(rows: Iterable[Sequence[Any]]) -> dict[str, int]:
    return {name: count for name, count in rows}  # noqa: C416 - rows are no pairs to a type checker


def _set_gateways(session: Session, now: datetime) -> None:
    states: Counter[str] = Counter()
    hops: Counter[str] = Counter()
    backlog, oldest_s = 0, 0.0
    known = Gateway.state, Gateway.backlog, Gateway.oldest_unreceipted_at, Gateway.attributes
    query = select(*known).where(in_service(Gateway))
    for state, waiting, oldest, attributes in session.execute(query):
        states[state] += 1
        backlog += waiting or 0
        if waiting and oldest is not None:
            oldest_s = max(oldest_s, (now - oldest).total_seconds())
        for hop, count in (attributes or {}).get("failures", {}).items():
            hops[hop if _HOP.fullmatch(hop) else metrics.OTHER] += count
    _set_states(metrics.GATEWAYS, states)
    metrics.BACKLOG.set(backlog)
    metrics.BACKLOG_AGE.set(oldest_s)
    _set_states(metrics.GATEWAY_FAILURES, metrics.bounded(hops, MOST_HOPS, int.__add__))


def _set_states(gauge: Gauge, counts: Mapping[str, int]) -> None:
    """Sets a gauge of one label; names that are gone go."""
    gauge.clear()
    for name, count in counts.items():
        gauge.labels(name).set(count)


def _of_areas(counts: Mapping[str, _Pair]) -> dict[str, _Pair]:
    return metrics.bounded(counts, MOST_AREAS, _Pair.plus)
