"""Groups of commands that load one only when it is asked for.

What a command imports is waited for by whoever types another one, and by the authority, which
starts without store, web and formats of files.
"""

from collections.abc import Mapping
from copy import copy
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group


class Later(NamedTuple):
    """A command that is not loaded yet."""

    place: str
    """``module:attribute``: a function, or a group of its own."""
    help: str
    """Its line in the help of the group, as it stands in the command itself."""


def with_later(known: Mapping[str, Later]) -> type[TyperGroup]:
    """Returns a kind of group that has these commands, by name, beside those it is given."""

    class WithLater(TyperGroup):
        """A group whose help names all its commands and loads none."""

        def __init__(self, **words: Any) -> None:
            super().__init__(**words)
            self.later = {name: each.place for name, each in known.items()}
            for name, each in known.items():
                self.commands[name] = TyperCommand(name, help=each.help)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name in self.later:
                self.commands[cmd_name] = _loaded(cmd_name, self.later[cmd_name])
                del self.later[cmd_name]
            return super().get_command(ctx, cmd_name)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            listed = copy(self)
            listed.later = {}  # so that it is content with their names and lines
            super(WithLater, listed).format_help(ctx, formatter)

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
