"""Shipment files that a spreadsheet wrote: RFC 4180 with what programs make of it.

Separators: comma, semicolon, tab or bar, whichever the header has most of. Encodings: UTF-8 with or
without a mark, UTF-16 with one, else Windows-1252. Empty lines are skipped.
"""

import codecs
import csv
import io

from hesper_cloud.meter_keys.layout import COLUMNS, SERIAL, Layout, folded
from hesper_cloud.meter_keys.shipment import Fault, Row, ShipmentRefused

_SEPARATORS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_FIELD = 4096


def rows(octets: bytes, layout: Layout) -> list[Row]:
    """Returns the rows of a file, each with its line's number.

    Raises:
        ShipmentRefused: no header that names the meters and a key, or a line that is none.
    """
    text = _decoded(octets)
    header_line = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(_SEPARATORS, key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found: list[Row] = []
    columns: dict[str, int] = {}
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if not columns:
                columns = _columns(fields, layout)
                continue
            found.append(_row(reader.line_num, fields, columns))
    except csv.Error:
        fault = Fault(reader.line_num + 1, "", "this line is no CSV: look at its quotation marks")
        raise ShipmentRefused([fault]) from None
    if not columns:
        raise ShipmentRefused([Fault(1, "", "the file is empty")])
    return found


def _decoded(octets: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if octets.startswith(mark)), "utf-8")
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError:
        return octets.decode("cp1252", errors="replace")


def _columns(header: list[str], layout: Layout) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        for column in COLUMNS:
            if folded(name) in layout.names(column):
                if column in places:
                    raise ShipmentRefused([Fault(1, column, "two columns of the header name it")])
                places[column] = place
    if SERIAL not in places or len(places) < 2:
        text = "the header must name the serial numbers and at least one key"
        raise ShipmentRefused([Fault(1, SERIAL, text)])
    return places


def _row(number: int, fields: list[str], columns: dict[str, int]) -> Row:
    values = {
        column: fields[place].strip()[:_LONGEST_FIELD]
        for column, place in columns.items()
        if place < len(fields) and fields[place].strip()
    }
    return Row(number, values)
