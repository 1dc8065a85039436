"""Meter templates: what differs between meter types, kept as data.

A template is one TOML file in this folder. ``extends = "other"`` takes everything from another
one; tables are merged key by key, other values (lists too) replace, and ``replaces = ["events"]``
takes nothing of the named tables from above. A template says how to reach
the meter (link, associations), how much it can bear (times, limits), where its objects are, and
for push meters how the body is laid out. ``verified`` states honestly what the facts rest on.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hesper_gateway.config import complaint
from hesper_gateway.errors import ConfigError
from hesper_gateway.templates.model import MeterTemplate

__all__ = [
    "MeterTemplate",
    "chain",
    "load",
    "load_each",
    "load_from",
    "load_own",
    "merged",
    "names",
]

DIRECTIVES = ("extends", "replaces")
_DEEPEST = 8
_SUFFIX = ".toml"


def names(folder: Traversable | None = None) -> list[str]:
    """Return the templates of a folder, of those that ship with the gateway by default, sorted."""
    files = (folder or resources.files(__name__)).iterdir()
    return sorted(each.name.removesuffix(_SUFFIX) for each in files if each.name.endswith(_SUFFIX))


@cache
def load(name: str) -> MeterTemplate:
    """Return one of the templates that ship with the gateway.

    Raises:
        ConfigError: no such template, or it does not fit; the text names file and place.
    """
    return load_from(resources.files(__name__), name)


def load_own(folder: Path, name: str) -> MeterTemplate:
    """Return a template of one's own, of a folder, or else one that ships with the gateway.

    Raises:
        ConfigError: as `load`.
    """
    if "/" not in name and (folder / f"{name}{_SUFFIX}").is_file():
        return load_from(folder, name)
    try:
        return load(name)
    except ConfigError as error:
        raise ConfigError(f"{error} (and none of them in {folder})") from error


def load_each(folder: Path, wanted: Iterable[str]) -> Mapping[str, MeterTemplate]:
    """Return templates by their names, each read once, however many meters are of it.

    Raises:
        ConfigError: as `load`.
    """
    return {name: load_own(folder, name) for name in dict.fromkeys(wanted)}


def load_from(folder: Traversable, name: str) -> MeterTemplate:
    """Return a template from a folder, with everything it inherits.

    Raises:
        ConfigError: as `load`.
    """
    try:
        return MeterTemplate.model_validate({**merged(folder, name), "name": name})
    except ValidationError as error:
        raise ConfigError(complaint(f"template {name}", error)) from error


def merged(folder: Traversable, name: str) -> dict[str, Any]:
    """Return a template as it was written, with all that it inherits.

    Raises:
        ConfigError: it cannot be read, or what it extends cannot.
    """
    document: dict[str, Any] = {}
    for _, text in chain(folder, name):
        below = tomllib.loads(text)
        for table in document.pop("replaces", ()):
            below.pop(table, None)
        document = _overlaid(below, document)
    for directive in DIRECTIVES:
        document.pop(directive, None)
    return document


def chain(folder: Traversable, name: str) -> list[tuple[str, str]]:
    """Return a template and those it extends, nearest first, each with its text.

    Raises:
        ConfigError: as `merged`.
    """
    found: list[tuple[str, str]] = []
    wanted: str | None = name
    while wanted is not None:
        above = [each for each, _ in found]
        if wanted in above or len(above) >= _DEEPEST:
            circle = " > ".join((*above, wanted))
            raise ConfigError(f"template {name}: inherits in a circle: {circle}")
        text = _text(folder, wanted, above)
        found.append((wanted, text))
        document = tomllib.loads(text)
        parent = document.get("extends")
        if not isinstance(parent, str | None):
            raise ConfigError(f"template {wanted}: extends must be the name of one template")
        replaces = document.get("replaces", [])
        if not (isinstance(replaces, list) and all(isinstance(each, str) for each in replaces)):
            raise ConfigError(f"template {wanted}: replaces must be a list of tables")
        wanted = parent
    return found


def _text(folder: Traversable, name: str, above: Sequence[str]) -> str:
    try:
        file = folder.joinpath(f"{name}{_SUFFIX}")
        if above and not file.is_file():  # a template of one's own extends one that is shipped
            file = resources.files(__name__).joinpath(f"{name}{_SUFFIX}")
        if "/" in name or name.startswith(".") or not file.is_file():
            wanted_by = f", wanted by template {above[-1]}" if above else ""
            known = ", ".join(names(folder))
            raise ConfigError(f"no template is named {name!r}{wanted_by}; there are: {known}")
        text = file.read_text(encoding="utf-8-sig")
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # too long a number, too deep a list
        raise ConfigError(f"template {name}: not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"template {name}: {error.strerror}") from error
    return text


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            result[key] = _overlaid(under, value)
        else:
            result[key] = value
    return result
