"""A template as TOML text: tomllib reads only, and a template needs little of what TOML can."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_WIDTH = 100
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def toml(document: Mapping[str, Any]) -> str:
    """Return a document of tables, texts, numbers, booleans and lists of these as TOML."""
    return "\n".join(_table((), document)).lstrip("\n") + "\n"


def _table(place: tuple[str, ...], table: Mapping[str, Any]) -> list[str]:
    values = {key: each for key, each in table.items() if not isinstance(each, Mapping)}
    tables = {key: each for key, each in table.items() if isinstance(each, Mapping)}
    lines = ["", f"[{'.'.join(map(_key, place))}]"] if place and (values or not tables) else []
    lines += [_entry(key, each) for key, each in values.items()]
    for key, each in tables.items():
        lines += _table((*place, key), each)
    return lines


def _entry(key: str, value: Any) -> str:
    line = f"{_key(key)} = {_value(value)}"
    if len(line) <= _WIDTH or not isinstance(value, Sequence) or isinstance(value, str):
        return line
    items = "".join(f"  {_value(each)},\n" for each in value)
    return f"{_key(key)} = [\n{items}]"


def _key(key: str) -> str:
    return key if key and _BARE.issuperset(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    """Return a text in quotes, without what UTF-8 or TOML cannot have."""
    sound = value.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(sound, ensure_ascii=False).replace("\x7f", "\\u007f")
