"""`hesper-gateway`: run the agent, look at its database, make its key.

Exit codes: 0 done, 1 the agent failed, 2 the configuration must be corrected.
"""

import asyncio
import json
import logging
import signal
import sqlite3
import sys
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from hesper_contracts.signing import Signer

from hesper_gateway import (
    discovery_commands,
    enrolment_commands,
    own,
    site_commands,
    statistics,
    systemd,
    template_commands,
    update_commands,
)
from hesper_gateway.cli_options import DEFAULT, AsJson, ConfigPath, give_up, must_exist
from hesper_gateway.cli_options import settings as settings_of
from hesper_gateway.database import DATABASE_NAME, DatabaseError
from hesper_gateway.errors import ConfigError
from hesper_gateway.file_owners import why

app = typer.Typer(
    name="hesper-gateway",
    help="The agent between meters and the MQTT broker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.command()(enrolment_commands.enroll)
app.command()(update_commands.launch)
app.command("versions")(update_commands.show)
app.command()(site_commands.commission)
app.command()(site_commands.support_bundle)
app.command()(site_commands.witness)
app.command()(discovery_commands.discover)
app.add_typer(template_commands.app, name="template")


class LogLevel(StrEnum):
    """How much the log says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


@app.command()
def run(
    config: ConfigPath = DEFAULT,
    log_level: Annotated[LogLevel, typer.Option(help="How much the log says.")] = LogLevel.INFO,
) -> None:
    """Read meters and carry their readings up and commands down, until stopped."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(systemd.log_format())
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    file = own.ConfigurationFile(config)
    try:
        settings = file.begin()
    except ConfigError as error:
        must_exist(config)
        give_up(error, 2)
    except DatabaseError as error:
        give_up(error, 1)
    from hesper_gateway import app as agent

    try:
        again = asyncio.run(_until_stopped(agent.run(settings, file)))
    except ConfigError as error:
        if not file.is_on_trial:
            give_up(error, 2)
        file.fall_back(str(error))
        own.start_again()
    except DatabaseError as error:
        give_up(error, 1)
    if again:
        own.start_again()


@app.command()
def status(
    config: ConfigPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show what the gateway's database holds; works while the agent runs."""
    path = settings_of(config).state / DATABASE_NAME
    if not path.exists():
        give_up(DatabaseError(f"there is no {path} yet: `hesper-gateway run` makes it"), 1)
    try:
        with statistics.opened(path) as connection:
            found, meters = statistics.queue(connection), statistics.meters(connection)
    except sqlite3.Error as error:
        give_up(DatabaseError(f"{path}: {error}"), 1)
    if as_json:
        typer.echo(json.dumps({**found, "meters": meters}))
        return
    for name, value in found.items():
        typer.echo(f"{name.replace('_', ' '):24}{value}")
    for meter, known in sorted(meters.items()):
        counters = known.pop("counters_reserved", {})
        words = [f"{name.replace('_', ' ')} {value}" for name, value in known.items() if value]
        words += [f"counter {reserved} of {key}" for key, reserved in counters.items()]
        typer.echo(f"{meter:24}{', '.join(words)}")


@app.command()
def keygen(path: Annotated[Path, typer.Argument(help="The key file to make.")]) -> None:
    """Make this gateway's signing key and show the public half for the cloud."""
    signer = Signer.generate()
    try:
        signer.save(path)
    except OSError as error:
        give_up(ConfigError(f"{path}: {error.strerror}"), 2)
    typer.echo(json.dumps({"key_id": signer.key_id, "public_key": signer.public_key.hex()}))


async def _until_stopped(agent: Coroutine[None, None, None]) -> bool:
    """Runs the agent; returns whether it asks to be started again, and nobody told it to stop.

    Who stops it may send more than one signal: a launcher passes on what its agent has got, too.
    """
    again = False
    told = asyncio.Event()
    running = asyncio.create_task(agent, name="gateway")

    def stop() -> None:
        if not told.is_set():  # a second one would break the stopping off
            told.set()
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        try:
            await running
        except* own.RestartWanted:
            again = not told.is_set()
    return again


def main() -> None:
    """The console script."""
    try:
        app()
    except PermissionError as error:
        typer.echo(f"{error.filename or 'hesper-gateway'}: {why(error)}", err=True)
        sys.exit(2)
