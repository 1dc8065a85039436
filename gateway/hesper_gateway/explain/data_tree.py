"""A-XDR values as branches of a tree; broken ones as far as they go."""

from __future__ import annotations

from hesper_dlms import axdr, obis
from hesper_dlms.axdr import MAX_DEPTH, Data, Tag
from hesper_dlms.errors import DecodeError
from hesper_dlms.push import parse_body
from rich.markup import escape
from rich.tree import Tree

from hesper_gateway.explain.readable import readable

_LOGICAL_NAME_OCTETS = 6
_NESTED = (Tag.ARRAY, Tag.STRUCTURE)


def add_data(node: Tree, data: Data) -> None:
    """Add a value with its type, nested ones as branches."""
    if isinstance(data.value, tuple):
        branch = node.add(f"{_name(data.tag)} of {len(data.value)}")
        for item in data.value:
            add_data(branch, item)
        return
    shown = readable(data)
    value = data.value
    if isinstance(value, bytes) and len(value) == _LOGICAL_NAME_OCTETS and value[5] == 0xFF:
        shown = f"{obis.text(value)} ({value.hex()})"
    node.add(f"{_name(data.tag)} [green]{escape(shown)}[/]")


def add_value(node: Tree, octets: bytes) -> None:
    """Add an encoded value; where it breaks off, what stands before that place and why."""
    try:
        body = parse_body(octets)
    except DecodeError as error:
        node.add(f"[red]{escape(str(error))}[/]; as far as it goes:")
        _Walk(octets).add(node, 0)
        return
    for quirk in body.quirks:
        node.add(f"[yellow]{quirk}[/]")
    add_data(node, body.data)


class _Walk:
    """Reads values one by one until one cannot be read."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._offset = 0

    def add(self, node: Tree, depth: int) -> bool:
        """Add the next value; whether it was whole."""
        tag = self._octets[self._offset : self._offset + 1]
        if tag and tag[0] in _NESTED and depth < MAX_DEPTH:
            return self._add_items(node, Tag(tag[0]), depth)
        try:
            data, self._offset = axdr.decode_prefix(self._octets, self._offset)
        except DecodeError:
            rest = self._octets[self._offset :]
            node.add(f"[red]at octet {self._offset}:[/] {rest.hex(' ') or 'nothing more'}")
            return False
        add_data(node, data)
        return True

    def _add_items(self, node: Tree, tag: Tag, depth: int) -> bool:
        try:
            count, self._offset = axdr.read_length(self._octets, self._offset + 1)
        except DecodeError as error:
            node.add(f"[red]{escape(str(error))}[/]")
            return False
        branch = node.add(f"{_name(tag)} of {count}")
        return all(self.add(branch, depth + 1) for _ in range(count))


def _name(tag: Tag) -> str:
    return tag.name.lower().replace("_", "-")
