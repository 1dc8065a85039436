"""`hesper-gateway launch` and `versions`: the agent in the version that counts."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hesper_gateway.cli_options import DEFAULT, ConfigPath
from hesper_gateway.update.launcher import TRIAL_S, folder_of
from hesper_gateway.update.slots import Slots

Folder = Annotated[
    Path | None, typer.Option("--versions", help="Where versions lie; else beside the database.")
]


def launch(
    config: ConfigPath = DEFAULT,
    versions: Folder = None,
    trial_s: Annotated[
        float, typer.Option("--trial", help="Seconds that a new version has to prove itself.")
    ] = TRIAL_S,
    log_level: Annotated[str, typer.Option(help="debug, info or warning.")] = "info",
) -> None:
    """Run the agent in the version that counts; a gateway that updates itself is started so."""
    folder = (versions or folder_of(config)).absolute()
    words = ["-P", "-m", "hesper_gateway.update.launcher"]
    words += ["--config", str(config.absolute()), "--versions", str(folder)]
    words += ["--trial", str(trial_s), "--log-level", log_level]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - no shell wanted


def show(config: ConfigPath = DEFAULT, versions: Folder = None) -> None:
    """Show which version counts, which is on trial, and how the last trial ended."""
    state = Slots(versions or folder_of(config)).state()
    typer.echo(json.dumps(msgspec.to_builtins(state), indent=2))
