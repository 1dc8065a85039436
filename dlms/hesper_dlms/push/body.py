"""The octets of a push as A-XDR, with the two known deviations from it.

- Untagged attribute descriptors (Sagemcom XT211, EG.D): a structure of two begins with nine raw
  octets: class (2), logical name (6), attribute (1). They are read as three values with tags.
- Swapped tag (Landis+Gyr ZMF100): a logical name begins 06 09 instead of 09 06.

Strict reading is tried first; only octets that fail it are read again with these in mind, so a
well-formed body is never bent, and reading stays linear.
"""

from __future__ import annotations

from dataclasses import dataclass

from hesper_dlms import axdr
from hesper_dlms.axdr import MAX_DEPTH, Data, Tag
from hesper_dlms.errors import DecodeError

UNTAGGED_DESCRIPTORS = "attribute descriptors without tags"
SWAPPED_TAG = "swapped tag 06 09 for a logical name"

_DESCRIPTOR_OCTETS = 9


@dataclass(frozen=True, slots=True)
class Body:
    """A push body: the value, and which deviations it needed."""

    data: Data
    quirks: tuple[str, ...] = ()

    def rows(self) -> Data:
        """Return the value; of untagged descriptors the array of rows alone."""
        items = self.data.value
        if UNTAGGED_DESCRIPTORS in self.quirks and isinstance(items, tuple):
            return next((item for item in items if item.tag is Tag.ARRAY), self.data)
        return self.data

    def plain(self) -> object:
        """Return the rows in plain JSON."""
        return axdr.plain(self.rows())


def parse_body(octets: bytes) -> Body:
    """Read the body of a data-notification.

    Raises:
        DecodeError: Not A-XDR, not even with the known deviations; of the two errors, the strict.
    """
    try:
        return Body(axdr.decode(octets))
    except DecodeError as strict:
        try:
            return _Lenient(octets).body()
        except DecodeError:
            raise strict from None


class _Lenient:
    """Reads A-XDR and lets the known deviations pass where a structure begins."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._offset = 0
        self._budget = axdr.Budget()
        self._quirks: dict[str, None] = {}

    def body(self) -> Body:
        data = self._read(0)
        if self._offset != len(self._octets):
            raise DecodeError("octets too many behind the value", self._offset)
        return Body(data, tuple(self._quirks))

    def _read(self, depth: int) -> Data:
        tag = self._octets[self._offset : self._offset + 1]
        if tag not in (bytes((Tag.ARRAY,)), bytes((Tag.STRUCTURE,))):
            data, self._offset = axdr.decode_prefix(self._octets, self._offset, self._budget)
            return data
        if depth >= MAX_DEPTH:
            raise DecodeError(f"nested deeper than {MAX_DEPTH}", self._offset)
        count, self._offset = axdr.read_length(self._octets, self._offset + 1)
        if count > len(self._octets) - self._offset:
            raise DecodeError(f"{count} items announced, too few octets left", self._offset)
        self._budget.spend(count, self._offset)
        items: list[Data] = []
        if tag[0] == Tag.STRUCTURE and count:
            items = self._first(count)
            count -= 1 if items else 0
        items += [self._read(depth + 1) for _ in range(count)]
        return Data(Tag(tag[0]), tuple(items))

    def _first(self, count: int) -> list[Data]:
        """Return a deviating first item of a structure as values with tags, else nothing."""
        head = self._octets[self._offset : self._offset + _DESCRIPTOR_OCTETS]
        if len(head) < _DESCRIPTOR_OCTETS or head[7] != 0xFF:
            return []
        if head[:2] == b"\x06\x09":
            self._offset += 8
            self._quirks[SWAPPED_TAG] = None
            return [axdr.octet_string(head[2:8])]
        if count == 2 and head[0] == 0 and head[1] != 0 and 0 < head[8] < 0x80:
            self._offset += _DESCRIPTOR_OCTETS
            self._quirks[UNTAGGED_DESCRIPTORS] = None
            return [
                axdr.long_unsigned(head[1]),
                axdr.octet_string(head[2:8]),
                axdr.integer(head[8]),
            ]
        return []
