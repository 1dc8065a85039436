"""Values on the command line: how an engineer types what `write` and `invoke` send.

null  now  true  5  "text"          bare: the type is that of the attribute, where it is known
double-long-unsigned:5              TYPE:VALUE
octet-string:0102ff  visible-string:abc  bit-string:0101  date-time:2026-01-31T12:00+01:00
octet-string:now                    the present time as the 12 octets of a date-time
structure(unsigned:1, enum:2)       array(…) likewise, nested as deep as needed
axdr:0600000005                     the encoded octets themselves
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hesper_dlms import axdr
from hesper_dlms.axdr import BitString, Data, Tag
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DlmsError, LocalError

_NOW = "now"
_NESTED = {"array": Tag.ARRAY, "structure": Tag.STRUCTURE, "compact-array": Tag.COMPACT_ARRAY}
_INTEGERS = {
    "double-long": Tag.DOUBLE_LONG,
    "double-long-unsigned": Tag.DOUBLE_LONG_UNSIGNED,
    "bcd": Tag.BCD,
    "integer": Tag.INTEGER,
    "long": Tag.LONG,
    "unsigned": Tag.UNSIGNED,
    "long-unsigned": Tag.LONG_UNSIGNED,
    "long64": Tag.LONG64,
    "long64-unsigned": Tag.LONG64_UNSIGNED,
    "enum": Tag.ENUM,
}
_FLOATS = {"float32": Tag.FLOAT32, "float64": Tag.FLOAT64}
_TEXTS = {"visible-string": Tag.VISIBLE_STRING, "utf8-string": Tag.UTF8_STRING}
_OCTETS = {"octet-string": Tag.OCTET_STRING, "date": Tag.DATE, "time": Tag.TIME}

TYPES = (
    *("null-data", "boolean", "bit-string", "date-time"),
    *(*_INTEGERS, *_FLOATS, *_TEXTS, *_OCTETS, *_NESTED),
)
"""Type names that can stand before a colon (or, nested ones, before parentheses)."""

HOW = (
    "write TYPE:VALUE such as double-long-unsigned:5, octet-string:0102ff, structure(unsigned:1, "
    "enum:2), octet-string:now, or axdr:0600000005"
)


def parse_value(text: str, type_name: str | None = None) -> Data:
    """Return the value that a text means.

    Args:
        text: As the module says, or just the value where `type_name` says the type.
        type_name: One of `TYPES`.

    Raises:
        LocalError: It means none, or does not fit its type.
    """
    if type_name is not None:
        data = _typed(type_name.strip().lower(), text)
    else:
        parser = _Parser(text)
        data = parser.value()
        parser.end()
    axdr.encode(data)
    return data


def bare_value(text: str) -> object:
    """Return what a text without a type says: None, bool, int, float, time, octets or text."""
    words = {"null": None, "true": True, "false": False}
    stripped = text.strip()
    if stripped.lower() in words:
        return words[stripped.lower()]
    if stripped == _NOW:
        return CosemDateTime.from_datetime(datetime.now(UTC))
    for read in (lambda: int(stripped, 0), lambda: float(stripped)):
        try:
            return read()
        except ValueError:
            continue
    if stripped[:1] == '"' == stripped[-1:] and len(stripped) > 1:
        return stripped[1:-1]
    return stripped


class _Parser:
    """Reads `TYPE:VALUE` and `TYPE(…, …)`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self, depth: int = 0) -> Data:
        if depth > axdr.MAX_DEPTH:
            raise LocalError(f"nested deeper than {axdr.MAX_DEPTH}")
        name = self._until(":(,)").strip().lower()
        if self._take("("):
            return self._items(name, depth)
        if self._take(":"):
            rest = self._until(",)") if depth else self._rest()
            return _typed(name, rest.strip())
        return _typed(name, "")

    def _items(self, name: str, depth: int) -> Data:
        if name not in _NESTED:
            raise LocalError(f"{name!r} takes no parentheses; {', '.join(_NESTED)} do")
        items: list[Data] = []
        while not self._take(")"):
            items.append(self.value(depth + 1))
            if not self._take(",") and self._text[self._at : self._at + 1] != ")":
                raise LocalError(f"a comma or ) is missing behind {self._text[: self._at]!r}")
        return Data(_NESTED[name], tuple(items))

    def end(self) -> None:
        if self._rest().strip():
            raise LocalError(f"too much behind the value in {self._text!r}")

    def _rest(self) -> str:
        at, self._at = self._at, len(self._text)
        return self._text[at:]

    def _until(self, stops: str) -> str:
        begin = self._at
        while self._at < len(self._text) and self._text[self._at] not in stops:
            self._at += 1
        return self._text[begin : self._at]

    def _take(self, wanted: str) -> bool:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1
        if self._text[self._at : self._at + 1] != wanted:
            return False
        self._at += 1
        return True


def _typed(name: str, text: str) -> Data:
    read = _READERS.get(name)
    if read is None:
        raise LocalError(f"there is no type {name!r}: {HOW}; types are {', '.join(TYPES)}")
    try:
        return read(text)
    except (ValueError, DlmsError) as error:
        raise LocalError(f"{text!r} is no {name}: {error}") from None


def _null(text: str) -> Data:
    if text:
        raise ValueError("null-data has no value")
    return axdr.null_data()


def _boolean(text: str) -> Data:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise ValueError("true or false")
    return axdr.boolean(words[text.lower()])


def _bits(text: str) -> Data:
    if set(text) - {"0", "1"}:
        raise ValueError("only 0 and 1")
    return Data(Tag.BIT_STRING, BitString(text))


def _octets(tag: Tag) -> Callable[[str], Data]:
    def read(text: str) -> Data:
        if tag is Tag.OCTET_STRING and text == _NOW:
            return Data(tag, _moment(text))
        return Data(tag, bytes.fromhex(text))

    return read


def _moment(text: str) -> bytes:
    """Return the 12 octets of `now`, of an ISO 8601 time (UTC without an offset), or of hex."""
    if text == _NOW:
        return CosemDateTime.from_datetime(datetime.now(UTC)).to_octets()
    if len(text) == 24 and "-" not in text:
        return bytes.fromhex(text)
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return CosemDateTime.from_datetime(aware).to_octets()


def _whole(tag: Tag) -> Callable[[str], Data]:
    return lambda text: Data(tag, int(text, 0))


def _float(tag: Tag) -> Callable[[str], Data]:
    return lambda text: Data(tag, float(text))


def _text(tag: Tag) -> Callable[[str], Data]:
    return lambda text: Data(tag, text)


_READERS: dict[str, Callable[[str], Data]] = {
    "null": _null,
    "null-data": _null,
    "boolean": _boolean,
    "bit-string": _bits,
    "date-time": lambda text: axdr.date_time(_moment(text)),
    _NOW: lambda text: axdr.octet_string(_moment(text or _NOW)),
    "axdr": lambda text: axdr.decode(bytes.fromhex(text)),
    **{name: _whole(tag) for name, tag in _INTEGERS.items()},
    **{name: _float(tag) for name, tag in _FLOATS.items()},
    **{name: _text(tag) for name, tag in _TEXTS.items()},
    **{name: _octets(tag) for name, tag in _OCTETS.items()},
}
