"""What importing the client costs: time and memory of fresh interpreters, over bare ones.

With byte code at hand, as an installed package has it. The first key of a process draws in the
cryptography package and two OpenSSLs; that is measured too, so that nothing is hidden.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from hesper_lab.bench import bytecode
from hesper_lab.bench.rows import Row, row

TARGET_MS: Final = 60.0
TARGET_MB: Final = 15.0
_REPEATED: Final = 9
_OURS: Final = "import hesper_dlms.client"
_CIPHERING: Final = f"{_OURS}; from hesper_dlms.security.gcm import GcmKey; GcmKey(bytes(16))"
_PEERS: Final = (
    ("gurux_dlms 1.0.203", "from gurux_dlms.secure import GXDLMSSecureClient"),
    ("dlms-cosem 25.1.0", "import dlms_cosem.client"),
)
_MEASURE: Final = """
import os, time
begun = time.process_time()
{statement}
spent = time.process_time() - begun
pages = int(open("/proc/self/statm").read().split()[1])
print("[%f, %f]" % (1e3 * spent, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))
"""


class Cost(NamedTuple):
    """Milliseconds of CPU time and megabytes of resident memory."""

    ms: float
    mb: float


def run() -> list[Row]:
    """Measure ours and the peers', about ten seconds."""
    with tempfile.TemporaryDirectory() as cache:
        bare = _cost("pass", cache)
        if bare is None:
            raise RuntimeError("Python does not start")
        ours, ciphering = _over(bare, _OURS, cache), _over(bare, _CIPHERING, cache)
        theirs = [(name, _over(bare, statement, cache)) for name, statement in _PEERS]
    if ours is None or ciphering is None:
        raise RuntimeError("the client cannot be imported")
    found = [(name, cost) for name, cost in theirs if cost is not None]
    time_rows = [
        row("dlms.import_ms", ours.ms, "ms", TARGET_MS, (name, cost.ms)) for name, cost in found
    ]
    memory_rows = [
        row("dlms.import_mb", ours.mb, "MB", TARGET_MB, (name, cost.mb)) for name, cost in found
    ]
    return [
        *(time_rows or [row("dlms.import_ms", ours.ms, "ms", TARGET_MS)]),
        *(memory_rows or [row("dlms.import_mb", ours.mb, "MB", TARGET_MB)]),
        row("dlms.import_ms.first_key", ciphering.ms, "ms"),
        row("dlms.import_mb.first_key", ciphering.mb, "MB"),
    ]


def _over(bare: Cost, statement: str, cache: str) -> Cost | None:
    cost = _cost(statement, cache)
    return None if cost is None else Cost(cost.ms - bare.ms, cost.mb - bare.mb)


def _cost(statement: str, cache: str) -> Cost | None:
    """Return the least of several runs after one that fills the cache; None if it fails."""
    environment = {**os.environ, **bytecode.kept(Path(cache))}
    command = [sys.executable, "-c", _MEASURE.format(statement=statement)]
    costs = []
    for _ in range(_REPEATED + 1):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            return None
        costs.append(Cost(*json.loads(done.stdout)))
    return Cost(min(cost.ms for cost in costs[1:]), min(cost.mb for cost in costs[1:]))
