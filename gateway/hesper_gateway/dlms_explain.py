"""`hesper-dlms explain`: any frame or APDU as an annotated tree, secrets left out.

Frames are recognised by how they begin: 7E HDLC, 68 M-Bus, 0001 the wrapper; anything else is taken
for an APDU. What does not parse is said to be so, with the place, and never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hesper_dlms import apdu, obis
from hesper_dlms.apdu import ciphered
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DlmsError, RemoteError
from hesper_dlms.gbt import BlockAssembly
from hesper_dlms.hdlc import llc
from hesper_dlms.hdlc.frames import FrameReader, Kind
from hesper_dlms.hdlc.parameters import parse_parameters
from hesper_dlms.mbus import MbusReader
from hesper_dlms.push import parse_body
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.wrapper import WrapperReader
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from hesper_gateway.dlms_names import is_secret, number
from hesper_gateway.dlms_objects import readable

_VALUES = {"octets", "result", "parameters", "returned", "body"}
_INITIATE = "user_information"
_ANYONE = bytes(8)


class Explainer:
    """Builds the tree.

    Args:
        keys: To look inside ciphered APDUs; None leaves them closed.
        sender: System title of who sent them, for APDUs that do not carry it.
    """

    def __init__(self, keys: SecuritySettings | None = None, sender: bytes | None = None) -> None:
        self._keys = keys
        self._sender = sender
        self._blocks = BlockAssembly()

    def explain(self, octets: bytes) -> Tree:
        """Return the tree of frames or of an APDU."""
        root = Tree(f"[bold]{len(octets)} octets[/]")
        if octets[:1] == b"\x7e":
            self._hdlc(root, octets)
        elif octets[:1] == b"\x68" and octets[3:4] == b"\x68":
            self._mbus(root, octets)
        elif octets[:2] == b"\x00\x01":
            self._wrapper(root, octets)
        else:
            self._apdu(root, octets)
        if not root.children:
            root.add("[red]no whole frame in it[/]")
        return root

    def _hdlc(self, root: Tree, octets: bytes) -> None:
        reader = FrameReader()
        frames = reader.receive(octets)
        for bad in reader.bad_headers:
            root.add(f"[red]header check sequence wrong at octet {bad.offset}[/]")
        whole = b""
        for frame in frames:
            check = "right" if frame.fcs_right else "[red]wrong[/]"
            node = root.add(
                f"HDLC [bold]{frame.kind.name}[/] to {frame.destination.hex()} from "
                f"{frame.source.hex()}, control {frame.control:02X}, FCS {check}"
            )
            if frame.kind is Kind.I:
                node.add(f"N(S) {frame.send_sequence}, N(R) {frame.receive_sequence}")
            if frame.kind in (Kind.SNRM, Kind.UA):
                self._parameters(node, frame.information)
            elif frame.information:
                whole += frame.information
                if frame.segmented:
                    node.add(f"segment of {len(frame.information)} octets, more follow")
                    continue
                self._apdu(node, llc.strip(whole))
                whole = b""

    @staticmethod
    def _parameters(node: Tree, information: bytes) -> None:
        try:
            for name, value in parse_parameters(information)._asdict().items():
                node.add(f"{name}: {value}")
        except RemoteError as error:
            node.add(f"[red]{escape(str(error))}[/]")

    def _mbus(self, root: Tree, octets: bytes) -> None:
        whole = b""
        for frame in MbusReader().receive(octets):
            check = "right" if frame.checksum_right else "[red]wrong[/]"
            node = root.add(
                f"M-Bus part {frame.number}{' (last)' if frame.last else ''}, from "
                f"{frame.source:02x} to {frame.destination:02x}, checksum {check}"
            )
            whole += frame.part
            if frame.last:
                self._apdu(node, whole)
                whole = b""

    def _wrapper(self, root: Tree, octets: bytes) -> None:
        for frame in WrapperReader(resynchronise=True).receive(octets):
            node = root.add(f"wrapper from wPort {frame.source} to wPort {frame.destination}")
            self._apdu(node, frame.apdu)

    def _apdu(self, node: Tree, octets: bytes) -> None:
        try:
            parsed = apdu.parse(octets)
        except RemoteError as error:
            node.add(f"[red]no APDU: {escape(str(error))}[/] {octets.hex()}")
            return
        branch = node.add(f"[bold cyan]{type(parsed).__name__}[/] ({len(octets)} octets)")
        self._fields(branch, parsed)
        if isinstance(parsed, apdu.Ciphered):
            self._inside(branch, octets)
        elif isinstance(parsed, apdu.GeneralBlockTransfer):
            self._block(branch, parsed)

    def _block(self, node: Tree, block: apdu.GeneralBlockTransfer) -> None:
        """Put blocks together; explain the whole below its last one."""
        try:
            whole = self._blocks.add(block.number, block.last, block.octets)
        except RemoteError as error:
            node.add(f"[red]{escape(str(error))}[/]")
            return
        if whole is not None and whole[:1] != b"\xe0":
            self._apdu(node.add("the whole:"), whole)

    def _inside(self, node: Tree, octets: bytes) -> None:
        if self._keys is None:
            node.add(
                "[dim]closed: give --encryption-key and --authentication-key to look inside[/]"
            )
            return
        title = ciphered.Ciphered.from_octets(octets).system_title or self._sender
        try:
            opened = SecurityContext(self._keys, _ANYONE, title).open(octets)
        except DlmsError as error:
            node.add(f"[red]cannot be opened: {escape(str(error))}[/]")
            return
        node.add("tag verified" if opened.tag_verified else "[yellow]tag not verified[/]")
        self._apdu(node, opened.apdu)

    def _fields(self, node: Tree, record: Any) -> None:
        for name, value in record._asdict().items():
            if value is None:
                continue
            label = f"{name}: "
            if is_secret(record, name):
                node.add(label + "[dim]not shown[/]")
            elif name == _INITIATE and isinstance(value, bytes):
                self._apdu(node.add(label), value)
            elif name in _VALUES and isinstance(value, bytes) and not _is_raw(record):
                self._value(node.add(label), value)
            else:
                self._field(node, label, record, value)

    def _field(self, node: Tree, label: str, record: Any, value: object) -> None:
        if isinstance(value, Data):
            _data(node.add(label), value)
        elif type(value) is tuple:
            branch = node.add(f"{label}{len(value)}")
            for place, item in enumerate(value, start=1):
                self._field(branch, f"{place}: ", record, item)
        elif isinstance(value, apdu.AccessSelection | apdu.DataBlock):
            self._fields(node.add(label), value)
        elif isinstance(value, int):
            node.add(label + escape(number(record, label.rstrip(": "), value)))
        else:
            node.add(label + escape(value.hex() if isinstance(value, bytes) else str(value)))

    @staticmethod
    def _value(node: Tree, octets: bytes) -> None:
        try:
            body = parse_body(octets)
        except RemoteError as error:
            node.add(f"[red]{escape(str(error))}[/] {octets.hex()}")
            return
        for quirk in body.quirks:
            node.add(f"[yellow]{quirk}[/]")
        _data(node, body.data)


def _is_raw(record: Any) -> bool:
    """Whether the octets of a record are no A-XDR value of their own."""
    return isinstance(record, apdu.Ciphered | apdu.GeneralBlockTransfer | apdu.DataBlock)


def _data(node: Tree, data: Data) -> None:
    name = data.tag.name.lower().replace("_", "-")
    if isinstance(data.value, tuple):
        branch = node.add(f"{name} of {len(data.value)}")
        for item in data.value:
            _data(branch, item)
        return
    shown = readable(data)
    if isinstance(data.value, bytes) and len(data.value) == 6:
        shown = f"{obis.text(data.value)} ({data.value.hex()})"
    node.add(f"{name} [green]{escape(shown)}[/]")


def to_json(tree: Tree) -> object:
    """Return a tree as plain JSON: a text, or an object from its text to its branches."""
    label = _plain_text(str(tree.label))
    if not tree.children:
        return label
    return {label: [to_json(child) for child in _children(tree)]}


def _children(tree: Tree) -> Iterable[Tree]:
    return tree.children


def _plain_text(markup: str) -> str:
    return Text.from_markup(markup).plain
