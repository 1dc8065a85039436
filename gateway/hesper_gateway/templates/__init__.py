"""Meter templates: what differs between meter types, kept as data.

A template is one TOML file in this folder. ``extends = "other"`` takes everything from another
one; tables are merged key by key, other values (lists too) replace. A template says how to reach
the meter (link, associations), how much it can bear (times, limits), where its objects are, and
for push meters how the body is laid out. ``verified`` states honestly what the facts rest on.
"""

import tomllib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import ValidationError

from hesper_gateway.config import complaint
from hesper_gateway.errors import ConfigError
from hesper_gateway.templates.model import MeterTemplate

__all__ = ["MeterTemplate", "load", "load_from", "names"]

_DEEPEST = 8


def names() -> list[str]:
    """Return the templates that ship with the gateway, sorted."""
    folder = resources.files(__name__)
    return sorted(
        item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")
    )


@cache
def load(name: str) -> MeterTemplate:
    """Return one of the templates that ship with the gateway.

    Raises:
        ConfigError: no such template, or it does not fit; the text names file and place.
    """
    return load_from(resources.files(__name__), name)


def load_from(folder: Traversable, name: str) -> MeterTemplate:
    """Return a template from a folder, with everything it inherits.

    Raises:
        ConfigError: as `load`.
    """
    document = _merged(folder, name, ())
    try:
        return MeterTemplate.model_validate({**document, "name": name})
    except ValidationError as error:
        raise ConfigError(complaint(f"template {name}", error)) from error


def _merged(folder: Traversable, name: str, above: tuple[str, ...]) -> dict[str, Any]:
    if name in above or len(above) >= _DEEPEST:
        raise ConfigError(
            f"template {above[0]}: inherits in a circle: {' > '.join((*above, name))}"
        )
    document = _document(folder, name, above)
    parent = document.pop("extends", None)
    if parent is None:
        return document
    if not isinstance(parent, str):
        raise ConfigError(f"template {name}: extends must be the name of one template")
    return _overlaid(_merged(folder, parent, (*above, name)), document)


def _document(folder: Traversable, name: str, above: tuple[str, ...]) -> dict[str, Any]:
    file = folder.joinpath(f"{name}.toml")
    if above and not file.is_file():  # a template of one's own extends one that is shipped
        file = resources.files(__name__).joinpath(f"{name}.toml")
    if "/" in name or name.startswith(".") or not file.is_file():
        wanted_by = f", wanted by template {above[-1]}" if above else ""
        known = ", ".join(
            sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))
        )
        raise ConfigError(f"no template is named {name!r}{wanted_by}; there are: {known}")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"template {name}: not TOML: {error}") from error


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            result[key] = _overlaid(under, value)
        else:
            result[key] = value
    return result
