"""The grid as far as energy is balanced: areas, feeders, transformers and the meters at them.

A CSV file has one line per element or meter, in any order:

    kind,id,name,parent,role,from,to
    area,north,North,,,,
    transformer,tr-7,Mill lane,north,,,
    meter,HES12642984,,tr-7,customer,2026-01-01T00:00:00+01:00,
    meter,HES12642000,,tr-7,inflow,2026-01-01T00:00:00+01:00,2026-06-01T00:00:00+02:00
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple, get_args

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from hesper_cloud.csv_lines import plain
from hesper_cloud.db.energy import Element, ElementMeter

ElementKind = Literal["area", "feeder", "transformer"]
Role = Literal["inflow", "customer"]
METER = "meter"
COLUMNS = ("kind", "id", "name", "parent", "role", "from", "to")
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
_DEEPEST = 32


class TopologyError(ValueError):
    """The table contradicts itself; the text says where."""


class Part(NamedTuple):
    """One element."""

    id: str
    kind: str
    name: str
    parent: str | None


class Place(NamedTuple):
    """One meter at one element from one instant to another."""

    meter: str
    element: str
    role: str
    from_at: datetime
    to_at: datetime | None

    def holds(self, start: datetime, end: datetime) -> bool:
        """Says whether the meter stands there during a whole range."""
        return self.from_at <= start and (self.to_at is None or end <= self.to_at)

    def touches(self, start: datetime, end: datetime) -> bool:
        """Says whether the meter stands there during some of a range."""
        return self.from_at < end and (self.to_at is None or start < self.to_at)


class Topology(NamedTuple):
    """Elements and places."""

    parts: tuple[Part, ...]
    places: tuple[Place, ...]

    def below(self, element: str) -> set[str]:
        """Returns an element and all that hang below it."""
        return hanging_below(children_of((part.id, part.parent) for part in self.parts), element)

    def alone(self, element: str, start: datetime, end: datetime) -> set[str]:
        """Returns customers' meters at an element and below it that are its only one for a while.

        What its customers took is then what that one took.
        """
        below = self.below(element)
        moves = [
            move
            for place in self.places
            if place.role == "customer" and place.element in below and place.touches(start, end)
            for move in (
                (max(place.from_at, start), True, place.meter),
                (min(place.to_at or end, end), False, place.meter),
            )
        ]
        standing: set[str] = set()
        found: set[str] = set()
        for at, some in groupby(sorted(moves), key=itemgetter(0)):
            for _, comes, meter in some:
                (standing.add if comes else standing.discard)(meter)
            if len(standing) == 1 and at < end:
                found |= standing
        return found

    def leading_to(self, meters: AbstractSet[str]) -> "Topology":
        """Returns what is left with some meters alone: their places and all above them."""
        places = tuple(place for place in self.places if place.meter in meters)
        parents = {part.id: part.parent for part in self.parts}
        wanted: set[str] = set()
        for place in places:
            element: str | None = place.element
            while element is not None and element not in wanted:
                wanted.add(element)
                element = parents.get(element)
        return Topology(tuple(part for part in self.parts if part.id in wanted), places)


def children_of(
    elements: Iterable[tuple[str, str | None]],
) -> Mapping[str, Sequence[str]]:
    """Returns what hangs right below each element, of elements and what they hang below."""
    found: dict[str, list[str]] = defaultdict(list)
    for element, parent in elements:
        if parent is not None:
            found[parent].append(element)
    return found


def hanging_below(children: Mapping[str, Sequence[str]], element: str) -> set[str]:
    """Returns an element and all that hang below it; a circle ends where it began."""
    found, waiting = {element}, [element]
    while waiting:
        below = set(children.get(waiting.pop(), ())) - found
        found |= below
        waiting += below
    return found


def parse(text: str) -> Topology:
    """Returns the topology of a CSV file.

    Raises:
        TopologyError: a line is wrong, or the whole contradicts itself.
    """
    parts, places = [], []
    for number, row in _rows(text):
        kind, name, parent = _cell(row, "kind"), _cell(row, "id"), _cell(row, "parent") or None
        if not name:
            raise TopologyError(f"line {number}: no id")
        if kind == METER:
            places.append(_place(row, name, parent, number))
        elif kind in get_args(ElementKind):
            parts.append(Part(name, kind, _cell(row, "name") or name, parent))
        else:
            raise TopologyError(f"line {number}: {kind!r} is neither an element's kind nor a meter")
    topology = Topology(tuple(parts), tuple(places))
    check(topology)
    return topology


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the lines of a CSV file by column, each with its number."""
    rows = csv.DictReader(io.StringIO(text))
    try:
        if rows.fieldnames is None or not {"kind", "id"} <= set(rows.fieldnames):
            raise TopologyError(f"the first line names the columns: {','.join(COLUMNS)}")
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise TopologyError(f"line {rows.reader.line_num}: {error}") from None


def _place(row: dict[str, str], meter: str, element: str | None, number: int) -> Place:
    role = _cell(row, "role")
    if element is None or role not in get_args(Role):
        raise TopologyError(f"line {number}: a meter has a parent and a role, inflow or customer")
    try:
        start, end = (_instant(_cell(row, name)) for name in ("from", "to"))
    except ValueError as error:
        raise TopologyError(f"line {number}: {error}") from None
    if end is not None and end <= (start or ALWAYS):
        raise TopologyError(f"line {number}: a place ends after it begins; from is before to")
    return Place(meter, element, role, start or ALWAYS, end)


def _cell(row: dict[str, str], name: str) -> str:
    return plain((row.get(name) or "").strip())


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at.astimezone(UTC)


def check(topology: Topology) -> None:
    """Checks that names are unique, parents exist, nothing hangs below itself, no meter twice.

    Raises:
        TopologyError: what is wrong.
    """
    parents = {part.id: part.parent for part in topology.parts}
    if len(parents) < len(topology.parts):
        raise TopologyError("an element is named twice")
    for named in (*(part.parent for part in topology.parts), *(p.element for p in topology.places)):
        if named is not None and named not in parents:
            raise TopologyError(f"there is no element {named!r}")
    for start in parents:
        above, depth = parents[start], 0
        while above is not None:
            depth += 1
            if depth > _DEEPEST:
                raise TopologyError(f"{start!r} hangs below itself, or deeper than {_DEEPEST}")
            above = parents[above]
    _check_overlaps(topology.places)


def _check_overlaps(places: Iterable[Place]) -> None:
    """A customer's meter counts in one place at a time, an inflow meter once per element.

    In both roles it begins there at two moments: a place is known by meter, element and beginning.
    """
    held: dict[tuple[str, str], list[Place]] = {}
    begun: set[tuple[str, str, datetime]] = set()
    for place in sorted(places, key=lambda each: each.from_at):
        if (place.meter, place.element, place.from_at) in begun:
            raise TopologyError(f"meter {place.meter!r} counts twice from {place.from_at}")
        begun.add((place.meter, place.element, place.from_at))
        key = (place.meter, place.element if place.role == "inflow" else "")
        for before in held.setdefault(key, []):
            if before.to_at is None or place.from_at < before.to_at:
                raise TopologyError(f"meter {place.meter!r} counts twice from {place.from_at}")
        held[key].append(place)


def store(session: Session, topology: Topology) -> None:
    """Puts a topology in the place of the one before."""
    session.execute(delete(ElementMeter))
    session.execute(delete(Element))
    for table, rows in ((Element, topology.parts), (ElementMeter, topology.places)):
        if rows:
            session.execute(insert(table), [row._asdict() for row in rows])


def load(session: Session) -> Topology:
    """Returns the topology that is stored."""
    parts = session.scalars(select(Element).order_by(Element.id))
    places = session.scalars(select(ElementMeter).order_by(ElementMeter.meter))
    return Topology(
        tuple(Part(row.id, row.kind, row.name, row.parent) for row in parts),
        tuple(Place(row.meter, row.element, row.role, row.from_at, row.to_at) for row in places),
    )


def lines(topology: Topology) -> Iterator[Sequence[str]]:
    """Yields the rows of a CSV file that `parse` takes back, the header first."""
    yield COLUMNS
    for part in topology.parts:
        yield (part.kind, part.id, part.name, part.parent or "", "", "", "")
    for place in topology.places:
        to_at = place.to_at.isoformat() if place.to_at else ""
        start = place.from_at.isoformat()
        yield (METER, place.meter, "", place.element, place.role, start, to_at)
