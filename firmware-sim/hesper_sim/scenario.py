"""Scenario files: which faults come when, to which meters; a pure function of file, fleet and time.

    seed = 7                          # of every chance below

    [[fault]]
    name = "silent"                   # see `hesper-sim faults`
    value = 1.0                       # where the fault has one
    meters = ["HES10611953"]          # or any of the next four, which narrow down together
    kind = "solar"
    line = "shared"
    feeder = 2
    share = 0.1                       # of those, drawn by the seed
    from = "30s"                      # after the start, or "2026-11-21T10:00:00Z"
    for = "2m"                        # how long; without it until the end
    every = "10m"                     # again and again, without it once
    until = "3h"                      # no new occurrence after this
    chance = 0.5                      # that an occurrence happens, drawn for each meter

Every mistake is told with the line on which it stands.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from hesper_sim import faults
from hesper_sim.errors import ScenarioError
from hesper_sim.faults import LINE_FAULTS, Fault
from hesper_sim.fleet import Fleet, Kind, MeterPlan

_KEYS: Final[dict[str, type | tuple[type, ...]]] = {
    "name": str,
    "value": (int, float),
    "meters": list,
    "kind": str,
    "line": str,
    "feeder": int,
    "share": (int, float),
    "from": str,
    "for": str,
    "every": str,
    "until": str,
    "chance": (int, float),
}
_HEADER: Final = re.compile(r"\s*\[\[\s*fault\s*\]\]")
_ASSIGNMENT: Final = re.compile(r"\s*\"?([A-Za-z_]+)\"?\s*=")
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of a scenario: seconds after its start, or epoch seconds."""

    seconds: float
    absolute: bool = False

    def at(self, started_at: float) -> float:
        """Return epoch seconds."""
        return self.seconds if self.absolute else started_at + self.seconds


@dataclass(frozen=True, slots=True)
class Entry:
    """One `[[fault]]`; `targets` are serial numbers, or the name of a serial line."""

    number: int
    fault: Fault
    value: float | None
    targets: tuple[str, ...]
    begin: Moment
    duration_s: float | None
    every_s: float | None
    until: Moment | None
    chance: float
    seed: int

    def occurrence(self, at: float, started_at: float) -> int | None:
        """Return the number of the occurrence that lasts at `at`, from 0; None between them."""
        first = self.begin.at(started_at)
        if at < first:
            return None
        number = int((at - first) // self.every_s) if self.every_s else 0
        since = first + number * (self.every_s or 0.0)
        if self.until is not None and since > self.until.at(started_at):
            return None
        if self.duration_s is not None and at >= since + self.duration_s:
            return None
        return number

    def next_begin(self, at: float, started_at: float) -> float | None:
        """Return when the next occurrence after `at` begins, epoch seconds; None when none does."""
        first = self.begin.at(started_at)
        if at < first:
            return first
        if not self.every_s:
            return None
        coming = first + (int((at - first) // self.every_s) + 1) * self.every_s
        last = None if self.until is None else self.until.at(started_at)
        return None if last is not None and coming > last else coming

    def happens_to(self, target: str, occurrence: int) -> bool:
        """Return whether an occurrence happens to a target, by the chance that was given."""
        drawn = random.Random(f"{self.seed}/{self.number}/{occurrence}/{target}")  # noqa: S311
        return drawn.random() < self.chance


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file."""

    name: str
    entries: tuple[Entry, ...]


def load(path: Path, fleet: Fleet) -> Scenario:
    """Read and check a scenario for a fleet; ScenarioError names file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    return parse(text, fleet, path.name)


def parse(text: str, fleet: Fleet, name: str = "scenario") -> Scenario:
    """Read and check the text of a scenario for a fleet; ScenarioError names the line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name}: {error}") from error
    lines = _Lines(name, text)
    tables = document.pop("fault", [])
    seed = document.pop("seed", 1)
    if document:
        raise lines.error(None, next(iter(document)), f"there is no {next(iter(document))!r} here")
    if not isinstance(seed, int):
        raise lines.error(None, "seed", "seed is an integer")
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise lines.error(None, "fault", "faults are written as [[fault]]")
    if not tables:
        raise ScenarioError(f"{name}: there is no [[fault]]")
    readers = (_Table(number, table, lines, fleet, seed) for number, table in enumerate(tables))
    return Scenario(name, tuple(reader.entry() for reader in readers))


class _Lines:
    """Where tables and keys stand in the text."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._places: dict[tuple[int | None, str], int] = {}
        table: int | None = None
        for number, line in enumerate(text.splitlines(), 1):
            assignment = _ASSIGNMENT.match(line)
            if _HEADER.match(line):
                table = 0 if table is None else table + 1
                self._places[table, ""] = number
            elif assignment:
                self._places.setdefault((table, assignment[1]), number)

    def error(self, table: int | None, key: str, reason: str) -> ScenarioError:
        """Return the error of a key (of a table, when the key is not there)."""
        line = self._places.get((table, key), self._places.get((table, ""), 1))
        return ScenarioError(f"{self._name}:{line}: {reason}")


class _Table:
    """Reads one `[[fault]]`."""

    def __init__(
        self, number: int, table: Mapping[str, Any], lines: _Lines, fleet: Fleet, seed: int
    ) -> None:
        self._number = number
        self._table = table
        self._lines = lines
        self._fleet = fleet
        self._seed = seed

    def entry(self) -> Entry:
        """Return the entry; ScenarioError for anything that is wrong with it."""
        self._check_keys()
        fault = self._fault()
        begin = self._moment("from") or Moment(0.0)
        duration, every = self._seconds("for"), self._seconds("every")
        if every is not None and (duration is None or duration > every):
            raise self._error("every", "what comes again needs a `for` that is not longer")
        return Entry(
            self._number,
            fault,
            self._number_of("value", None),
            self._targets(fault),
            begin,
            duration,
            every,
            self._moment("until"),
            self._number_of("chance", 1.0, most=1.0) or 0.0,
            self._seed,
        )

    def _error(self, key: str, reason: str) -> ScenarioError:
        return self._lines.error(self._number, key, reason)

    def _check_keys(self) -> None:
        for key, value in self._table.items():
            wanted = _KEYS.get(key)
            if wanted is None:
                near = get_close_matches(key, _KEYS, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise self._error(key, f"a fault has no {key!r}{hint}")
            if not isinstance(value, wanted) or isinstance(value, bool):
                types = wanted if isinstance(wanted, tuple) else (wanted,)
                names = {str: "text", list: "a list", int: "a whole number", float: "a number"}
                raise self._error(key, f"{key} is {names[types[-1]]}, not {value!r}")

    def _fault(self) -> Fault:
        name = self._table.get("name")
        if name is None:
            raise self._error("name", "a fault needs its name")
        try:
            return Fault(name.replace("-", "_"))
        except ValueError:
            near = get_close_matches(name, [each.value for each in Fault], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(Fault)}"
            raise self._error("name", f"there is no fault {name!r}; {hint}") from None

    def _targets(self, fault: Fault) -> tuple[str, ...]:
        if fault in LINE_FAULTS:
            return (self._serial_line(fault),)
        chosen = [meter for meter in self._fleet.meters if self._is_meant(meter)]
        self._check_targets({meter.serial for meter in self._fleet.meters})
        share = self._number_of("share", 1.0, most=1.0) or 0.0
        drawn = random.Random(f"{self._seed}/{self._number}/share")  # noqa: S311 - no secret
        serials = [meter.serial for meter in chosen]
        picked = set(drawn.sample(serials, round(share * len(serials))))
        if not picked:
            raise self._error("share" if chosen else "name", f"{fault} is meant for no meter")
        return tuple(serial for serial in serials if serial in picked)

    def _serial_line(self, fault: Fault) -> str:
        known = [line.name for line in self._fleet.lines if line.path_name]
        line = self._table.get("line")
        if line not in known:
            raise self._error("line", f"{fault} needs a serial line; there are: {known}")
        return str(line)

    def _check_targets(self, serials: set[str]) -> None:
        for serial in self._table.get("meters", ()):
            if serial not in serials:
                raise self._error("meters", f"there is no meter {serial!r} in this fleet")
        kind, line = self._table.get("kind"), self._table.get("line")
        if kind is not None and kind not in list(Kind):
            raise self._error("kind", f"there is no kind {kind!r}; there are {', '.join(Kind)}")
        names = [each.name for each in self._fleet.lines]
        if line is not None and line not in names:
            raise self._error("line", f"there is no line {line!r}; there are {', '.join(names)}")

    def _is_meant(self, meter: MeterPlan) -> bool:
        wanted = self._table
        return (
            meter.serial in wanted.get("meters", (meter.serial,))
            and meter.kind == wanted.get("kind", meter.kind)
            and meter.line == wanted.get("line", meter.line)
            and meter.feeder == wanted.get("feeder", meter.feeder)
        )

    def _number_of(
        self, key: str, default: float | None, most: float | None = None
    ) -> float | None:
        value = self._table.get(key, default)
        if value is not None and most is not None and not 0 <= value <= most:
            raise self._error(key, f"{key} is between 0 and {most:g}")
        return None if value is None else float(value)

    def _seconds(self, key: str) -> float | None:
        text = self._table.get(key)
        if text is None:
            return None
        match = _SPAN.fullmatch(text.strip())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if seconds <= 0:
            raise self._error(
                key, f"{key} is a time such as 500ms, 30s, 2m, 1h or 1d, not {text!r}"
            )
        return seconds

    def _moment(self, key: str) -> Moment | None:
        text = self._table.get(key)
        if text is None:
            return None
        match = _SPAN.fullmatch(text.strip())
        if match:
            return Moment(float(match[1]) * _SECONDS[match[2]])
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            reason = f"{key} is a time after the start such as 30s, or one with its zone such as "
            raise self._error(key, f"{reason}2026-11-21T10:00:00Z, not {text!r}")
        return Moment(moment.timestamp(), absolute=True)


def describe(fault: Fault) -> tuple[str, str, str]:
    """Return a fault's name, its default value as text and its help."""
    default = faults.DEFAULTS.get(fault)
    return fault, "" if default is None else f"{default:g}", faults.HELP[fault]
