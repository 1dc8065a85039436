"""What is wrong with a template, line by line, in words for the person who wrote it."""

import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hesper_gateway.errors import ConfigError
from hesper_gateway.templates import DIRECTIVES, MeterTemplate, chain, merged, names
from hesper_gateway.templates.places import Place, line_of, places

_NEAR = 0.6


class Mistake(NamedTuple):
    """One thing to correct; `line` is None where nothing of it is in the file."""

    file: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        """Say it as compilers do."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class _Source(NamedTuple):
    """A file that has a say in a template, and where in it the keys are."""

    file: str
    places: dict[Place, int]


def check(path: Path) -> list[Mistake]:
    """Return what is wrong with a template file; nothing when it loads.

    A mistake in what it inherits is shown in the template that says it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        return [Mistake(str(path), None, "", error.strerror or "cannot be read")]
    except UnicodeDecodeError:
        return [Mistake(str(path), None, "", "the text is not UTF-8")]
    except (ValueError, RecursionError) as error:  # too long a number, too deep a list
        return [Mistake(str(path), None, "", f"no TOML: {error}")]
    try:
        sources = [_Source(*each) for each in _sources(path)]
        MeterTemplate.model_validate({**merged(path.parent, path.stem), "name": path.stem})
    except ConfigError as error:
        return [_misled(path, places(text), document.get("extends"), error)]
    except ValidationError as error:
        found: dict[str, Mistake] = {}
        for item in error.errors(include_url=False, include_input=True):
            mistake = _mistake(dict(item), sources)
            found.setdefault(mistake.key, mistake)
        return sorted(found.values(), key=lambda each: (each.file, each.line or 0))
    return []


def _sources(path: Path) -> Iterable[tuple[str, dict[Place, int]]]:
    own, *parents = chain(path.parent, path.stem)
    yield str(path), places(own[1])
    for name, text in parents:
        yield f"template {name}", places(text)


def _misled(path: Path, own: dict[Place, int], parent: object, error: ConfigError) -> Mistake:
    beside = [each.stem for each in path.parent.glob("*.toml")]
    near = _nearest(parent, [*names(), *beside]) if isinstance(parent, str) else ""
    return Mistake(str(path), line_of(own, ("extends",)), "extends", f"{error}{near}")


def _mistake(item: dict[str, Any], sources: Sequence[_Source]) -> Mistake:
    place = tuple(map(str, item["loc"]))
    known = {key for source in sources for key in source.places}
    written = next((n for n in range(len(place), 0, -1) if place[:n] in known), 0)
    if item["type"] not in ("missing", "extra_forbidden"):
        place = place[:written]  # what follows names a type of ours, or an item of a list
    source = next((each for each in sources if place[:written] in each.places), sources[0])
    line = line_of(source.places, place)
    return Mistake(source.file, line, ".".join(place), _explained(item, place))


def _explained(item: dict[str, Any], place: Place) -> str:
    kind, given = item["type"], item.get("input")
    if kind == "extra_forbidden":
        table = _record_in(_annotation_at(place[:-1]))
        keys = set(table.model_fields) if table else set()
        allowed = sorted(keys if len(place) > 1 else {*keys, *DIRECTIVES} - {"name"})
        return f"no such key{_nearest(place[-1], allowed)}; there are: {', '.join(allowed)}"
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        allowed = [str(each) for each in _literals_in(_annotation_at(place))]
        return f"{given!r} is none of {', '.join(allowed)}{_nearest(str(given), allowed)}"
    text = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return text if repr(given) in text or isinstance(given, dict) else f"{text}; it is {given!r}"


def _nearest(given: str, allowed: Iterable[str]) -> str:
    close = get_close_matches(given, list(allowed), 1, _NEAR)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _annotation_at(place: Place) -> object:
    """Return the type of what the form has under a key; None where it has nothing."""
    annotation: object = MeterTemplate
    for part in place:
        record = _record_in(annotation)
        if record is not None:
            field = record.model_fields.get(part)
            annotation = field.annotation if field else None
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
    return annotation


def _record_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next(filter(None, map(_record_in, get_args(annotation))), None)
    return None


def _literals_in(annotation: object) -> list[object]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for each in get_args(annotation) for value in _literals_in(each)]
