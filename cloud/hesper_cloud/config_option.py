"""The option of every command that names the file with the settings."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="HESPER_CONFIG", help="The file cloud.toml.")
]
DEFAULT = Path("cloud.toml")
