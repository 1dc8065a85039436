"""What the command line asks for: a fleet of a new process, or something of one that runs.

Nothing else is loaded to ask: the command that serves a fleet is gone when the fleet is up.
"""

from __future__ import annotations

import json
import sys
from typing import Final, NamedTuple

CONTROL_NAME: Final = "control.sock"
"""In the state folder: where a fleet that runs is asked."""


class Served(NamedTuple):
    """What to serve; paths are text, as this travels as one JSON argument."""

    state: str
    fleet_file: str | None
    scenario_file: str | None
    capture_period_s: int
    history_days: int
    host: str
    port: int
    as_json: bool
    verbose: bool

    def command(self) -> list[str]:
        """Return the command that serves this."""
        options = json.dumps(self._asdict())
        return [sys.executable, "-m", "hesper_sim.serving", options]
