"""``hesper-cloud`` answers at once: a command loads what it needs, and the help nothing at all."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import command_line
import pytest
from hesper_cloud import cli, gateway_commands, meter_commands, user_commands
from typer.core import TyperGroup
from typer.main import get_group

LOADED = """
import json, sys
from hesper_cloud import cli
try:
    cli.main()
except SystemExit:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""
HEAVY = {"alembic", "cryptography", "duckdb", "fastapi", "numpy", "paho", "pydantic", "sqlalchemy"}
GROUPS = {
    "": cli.app,
    "gateway": gateway_commands.gateway,
    "meter": meter_commands.meter,
    "user": user_commands.user,
}


def loaded_by(*words: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True
    )
    assert "Usage" in ended.stdout
    return set(json.loads(ended.stderr.splitlines()[-1]))


def lines_of(group: TyperGroup) -> dict[str, str]:
    """The help of each command of a group, its first paragraph, as it is loaded."""
    context = group.make_context("hesper-cloud", [], resilient_parsing=True)
    return {name: _line(group.get_command(context, name)) for name in list(group.commands)}


def _line(command: Any) -> str:
    return " ".join(command.help.split("\n\n")[0].split())


def test_the_help_loads_nothing_heavy() -> None:
    assert loaded_by("--help") & HEAVY == set()


@pytest.mark.parametrize("words", [("key", "show"), ("image", "keygen"), ("tunnel",)])
def test_what_needs_no_database_loads_none(words: tuple[str, ...]) -> None:
    assert loaded_by(*words, "--help") & HEAVY <= {"cryptography", "paho", "pydantic"}


@pytest.mark.parametrize("words", [("user", "add"), ("gateway", "add"), ("meter", "add")])
def test_what_needs_databases_loads_neither_web_nor_store(words: tuple[str, ...]) -> None:
    assert loaded_by(*words, "--help") & HEAVY <= {"cryptography", "pydantic", "sqlalchemy"}


@pytest.mark.parametrize("name", GROUPS)
def test_the_help_says_of_each_command_what_it_says_of_itself(name: str) -> None:
    said = {each: _line(command) for each, command in get_group(GROUPS[name]).commands.items()}
    assert said == lines_of(get_group(GROUPS[name]))
    assert len(said) > 2


def test_a_mistyped_command_is_told_the_nearest(tmp_path: Path) -> None:
    told = command_line.tell(tmp_path / "cloud.toml", "autority")
    assert told.returncode == 2
    assert "Did you mean 'authority'" in " ".join(told.stderr.split())


@pytest.mark.parametrize("place", [*cli._TOLD, *cli._OF_DATABASES, *cli._OF_POSTGRESQL])
def test_every_error_that_is_told_is_there(place: str) -> None:
    module, name = place.split(":")
    assert issubclass(getattr(import_module(module), name), Exception)


def test_a_traceback_shows_no_local_variables() -> None:
    """Those of some releases of typer do, if they may: the passwords and keys of the moment."""
    assert not cli.app.pretty_exceptions_enable


def test_octets_that_are_no_text_are_told_in_one_line(head_end: Any, tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')
    for words in (("keys", "show"), ("policy", "show")):
        told = command_line.tell(config, *words, "M\udcfcller")
        assert (told.returncode, told.stderr.count("\n")) == (2, 1), told.stderr
        assert "cannot be written as utf-8" in told.stderr
