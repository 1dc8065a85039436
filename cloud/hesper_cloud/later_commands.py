"""Groups of commands that load some of them only when they are asked for.

What a command imports is loaded by every process of the command line, and most of all by the
authority, which starts without store, web and formats of files.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group


def with_later(places: Mapping[str, str]) -> type[TyperGroup]:
    """Returns a kind of group that has more commands than it was given.

    ``places`` says by name where each is, ``module:attribute``: a function, or a group of its own.
    """

    class WithLater(TyperGroup):
        """A group whose help names all its commands, and loads them to do so."""

        def list_commands(self, ctx: Any) -> list[str]:
            known = super().list_commands(ctx)
            return [*known, *(name for name in places if name not in known)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name in places and cmd_name not in self.commands:
                self.commands[cmd_name] = _loaded(cmd_name, places[cmd_name])
            return super().get_command(ctx, cmd_name)

    return WithLater


def _loaded(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    part = typer.Typer()
    if isinstance(found, typer.Typer):
        part.add_typer(found, name=name)
    else:
        part.command(name)(found)
    return get_group(part).commands[name]
