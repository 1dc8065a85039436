"""`hesper-cloud run|ingest|authority`: the processes of the head end.

Each imports what it runs when it runs: the authority starts without web and store.
"""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from queue import SimpleQueue

import typer

from hesper_cloud import restore_mark
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.observing import errors, logs
from hesper_cloud.settings import Settings

Role = Callable[[Settings, asyncio.Event], Awaitable[None]]
_SWITCH_S = 0.0001
"""With Python's own 5 ms, ingest waits that long at every hash and commit while a job reckons."""


def run(config: Config = DEFAULT) -> None:
    """Runs ingest, jobs and web until it is told to stop."""
    gc.disable()  # what is loaded to start stays; once it is up, garbage is looked for again
    from hesper_cloud import app as head_end

    _run_until_told(head_end.run, _settings_to_run(config))


def ingest(config: Config = DEFAULT) -> None:
    """Runs ingest alone: one more consumer beside `run`, where the store serves several.

    Needs an ingest.instance of its own, InfluxDB, and a registry that both reach.
    """
    from hesper_cloud.stores.opening import is_ours_alone

    settings = _settings_to_run(config)
    if is_ours_alone(settings.store):
        needs = "one more consumer needs InfluxDB and sole_writer = false under [store]"
        typer.echo(f"not started: {needs}; set it here and for `hesper-cloud run`", err=True)
        raise typer.Exit(1)
    from hesper_cloud import app as head_end

    _run_until_told(head_end.run_ingest, settings)


def _settings_to_run(config: Path) -> Settings:
    settings = Settings.load(config)
    restore_mark.refuse(settings.state)
    return settings


def _run_until_told(role: Role, settings: Settings) -> None:
    from hesper_cloud import app as head_end
    from hesper_cloud.api import request_ids

    _tell_of(settings, "head-end", {"request_id": request_ids.current})
    sys.setswitchinterval(_SWITCH_S)

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop.set)
        await role(settings, stop)

    with asyncio.Runner(loop_factory=head_end.loop_factory()) as runner:
        runner.run(until_told())
    gc.unfreeze()  # or nobody collects them, and the last words are a page of DuckDB's complaints


def authority(config: Config = DEFAULT) -> None:
    """Runs the authority, a process of its own, until it is told to stop."""
    from hesper_cloud import rotation
    from hesper_cloud.authority import process as authority_process

    settings = _settings_to_run(config)
    _tell_of(settings, "authority")
    authority_process.run(settings, told_to_stop(), rotation.check)


def told_to_stop() -> threading.Event:
    """Returns an event that SIGINT and SIGTERM set, for a program that waits for it in a loop.

    A thread sets it: a signal's handler runs in the midst of what the main thread does, and where
    that is `Event.wait` it would wait for a lock that it holds itself. `SimpleQueue.put` may be
    called from there.
    """
    told: SimpleQueue[int] = SimpleQueue()
    stop = threading.Event()

    def pass_on() -> None:
        told.get()
        stop.set()

    threading.Thread(target=pass_on, name="told-to-stop", daemon=True).start()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: told.put(number))
    return stop


def _tell_of(settings: Settings, role: str, words: logs.Words | None = None) -> None:
    """Begins log and error reports, as configured."""
    logs.begin(settings.log, words)
    errors.begin(settings.errors, role)
