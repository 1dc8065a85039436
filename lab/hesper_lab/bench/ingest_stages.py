"""Where CPU time goes between broker and receipt: by process, and by stage inside the head end."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from hesper_lab.bench.head_end import HeadEnd
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s

_STAGE: Final = "hesper_ingest_stage_cpu_seconds_total{"
_JOBS: Final = "jobs that ended"
_REST: Final = "head end: store's threads, web, jobs under way"


def spent(head_end: HeadEnd) -> dict[str, float]:
    """Return CPU seconds so far, kernel included; together they are all of the machine's share."""
    stages: defaultdict[str, float] = defaultdict(float)
    for name, value in head_end.metrics().items():
        if name.startswith(_STAGE):
            stage = name.removeprefix(_STAGE).removesuffix("}")
            stages[f"head end: {_JOBS if stage.startswith('job ') else stage}"] += value
    processes = {name: cpu_s(child.pid) for name, child in head_end.children.items()}
    rest = processes.pop("cloud") - sum(stages.values())
    return {**processes, **stages, _REST: rest}


def shares(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the CPU seconds between two looks."""
    return {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}


def rows(spent_s: dict[str, float], readings: float) -> list[Row]:
    """Return each share as CPU seconds for a million readings, and as a part of all."""
    total = sum(spent_s.values())
    return [
        row(f"cpu: {name} ({seconds / total:.0%})", seconds / readings * 1e6, "s/million")
        for name, seconds in spent_s.items()
    ]
