"""The process that serves a fleet, without the command line's libraries.

`hesper-sim serve` reads its options and then becomes this process (the process id stays): typer,
rich and what they draw in would stay loaded for as long as the fleet lives, 5 MB of the 60 that ten
thousand meters may take.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import sys
from pathlib import Path
from typing import Any

from hesper_sim import app, fleet, scenario
from hesper_sim.errors import SimulatorError
from hesper_sim.orders import Served


def serve(served: Served) -> None:
    """Serve a fleet until SIGTERM or Ctrl-C.

    Raises:
        SimulatorError: What is to be served, or was journalled, is not right.
    """
    level = logging.DEBUG if served.verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr)
    planned = (
        fleet.plan(fleet.starter(served.host, served.port))
        if served.fleet_file is None
        else fleet.load(Path(served.fleet_file))
    )
    played = served.scenario_file and scenario.load(Path(served.scenario_file), planned)
    options = app.Options(
        Path(served.state), served.capture_period_s, served.history_days, played or None
    )

    def announce(ready: dict[str, Any]) -> None:
        if served.as_json:
            sys.stdout.write(json.dumps(ready) + "\n")
        else:
            from hesper_sim import report

            report.print_ready(ready, served.state)
        sys.stdout.flush()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(app.serve(planned, options, announce))


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main() -> None:
    """Serve what the one argument says; an error of ours is one line on stderr and exit code 1."""
    try:
        serve(Served(**json.loads(sys.argv[1])))
    except (SimulatorError, OSError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        hint = "; other ports: --port, or in the fleet.toml" if taken else ""
        sys.stderr.write(f"hesper-sim: {error}{hint}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
