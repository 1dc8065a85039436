"""Shipment files in XML, read by expat without any declaration of a document type.

A document type is where entities, external ones among them, come from; a file that has one is
refused before anything of it is expanded. Depth, elements, and the text of one are bounded. The
usual form, which a `layout` can make any other::

    <shipment>
      <meter><serial>…</serial><encryption_key>…</encryption_key>…</meter>
    </shipment>
"""

from dataclasses import dataclass, field
from xml.parsers import expat

from hesper_cloud.meter_keys.layout import COLUMNS, SERIAL, Layout, folded
from hesper_cloud.meter_keys.shipment import Fault, Row, ShipmentRefused

_DEEPEST = 32
_MOST_FIELDS = 500
_LONGEST_TEXT = 4096


class _Refused(Exception):
    """Ends the reading; the text says why."""


@dataclass(slots=True)
class _Reader:
    """Collects the fields of each meter: text by path, and by path with one attribute."""

    layout: Layout
    rows: list[Row] = field(default_factory=list)
    depth: int = 0
    line: int = 0
    begun_at: int = 0
    path: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    fields: dict[str, set[str]] = field(default_factory=dict)
    is_inside: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Refused(f"elements lie more than {_DEEPEST} deep")
        local = name.rpartition(":")[2]
        if not self.is_inside:
            if folded(local) == folded(self.layout.meter):
                self.is_inside, self.begun_at, self.fields = True, self.depth, {}
                self._note_attributes("", attributes)
            return
        self.path.append((local, attributes))
        self.text = []
        self._note_attributes(self._place(), attributes)

    def end(self, _: str) -> None:
        if self.is_inside and self.depth == self.begun_at:
            self._finish()
        elif self.is_inside:
            self._note_text()
            self.path.pop()
            self.text = []
        self.depth -= 1

    def characters(self, text: str) -> None:
        if self.is_inside and self.path:
            self.text.append(text)
            if sum(map(len, self.text)) > _LONGEST_TEXT:
                raise _Refused(f"an element holds more than {_LONGEST_TEXT} characters")

    def _place(self) -> str:
        return "/".join(name for name, _ in self.path)

    def _note_attributes(self, place: str, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            self._note(f"{place}@{name.rpartition(':')[2]}", value)

    def _note_text(self) -> None:
        text = "".join(self.text).strip()
        if not text:
            return
        place, attributes = self._place(), self.path[-1][1]
        self._note(place, text)
        for name, value in attributes.items():
            self._note(f"{place}[@{name.rpartition(':')[2]}={value}]", text)

    def _note(self, place: str, text: str) -> None:
        texts = self.fields.setdefault(folded(place), set())
        texts.add(text)
        if len(self.fields) > _MOST_FIELDS:
            raise _Refused(f"a meter has more than {_MOST_FIELDS} fields")

    def _finish(self) -> None:
        values = {}
        for column in COLUMNS:
            names = self.layout.names(column)
            found = {text for name in _places(names) for text in self.fields.get(name, ())}
            if len(found) > 1:
                raise _Refused(f"a meter has its {column} twice, and not the same")
            if found:
                values[column] = found.pop()
        self.rows.append(Row(self.line, values))
        self.is_inside = False


def rows(octets: bytes, layout: Layout) -> list[Row]:
    """Returns the meters of a file, each with the line where it ends.

    Raises:
        ShipmentRefused: no XML, a document type, or no meter with a serial number.
    """
    parser = expat.ParserCreate()
    reader = _Reader(layout)

    def refuse(*_: object) -> None:
        raise _Refused("it declares a document type; that is not read")

    def end(name: str) -> None:
        reader.line = parser.CurrentLineNumber
        reader.end(name)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, end
    parser.CharacterDataHandler = reader.characters
    try:
        parser.Parse(octets, True)
    except _Refused as reason:
        raise ShipmentRefused([Fault(parser.CurrentLineNumber, "", str(reason))]) from None
    except (expat.ExpatError, ValueError, LookupError):
        fault = Fault(parser.CurrentLineNumber, "", "here it is no XML, or in no known encoding")
        raise ShipmentRefused([fault]) from None
    if not any(SERIAL in row.values for row in reader.rows):
        text = f"no element {layout.meter!r} with a serial number: does the layout fit?"
        raise ShipmentRefused([Fault(1, SERIAL, text)])
    return reader.rows


def _places(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns where such a field may stand: as an element, or as an attribute of the meter."""
    return (*names, *(f"@{name}" for name in names if "@" not in name))
