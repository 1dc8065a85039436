"""Any frame or APDU as an annotated tree, secrets left out.

Frames are recognised by how they begin: 7E HDLC, 68 M-Bus, 0001 the wrapper; behind noise, by what
is found in it; anything else is taken for an APDU, with or without its LLC header. What does not
parse is said to be so, with the place, and shown as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hesper_dlms.errors import RemoteError
from hesper_dlms.hdlc import llc
from hesper_dlms.hdlc.fcs import frame_check_sequence
from hesper_dlms.hdlc.frames import Frame, FrameReader, Kind, kind_of
from hesper_dlms.hdlc.parameters import parse_parameters
from hesper_dlms.mbus import MbusFrame, MbusReader
from hesper_dlms.security import SecuritySettings
from hesper_dlms.wrapper import WrapperFrame, WrapperReader
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from hesper_gateway.explain.apdu_tree import ApduTree

_SHORTEST_HDLC_HEADER = 2


class Explainer:
    """Builds the tree.

    Args:
        keys: To look inside ciphered APDUs; None leaves them closed.
        sender: System title of who sent them, for APDUs that do not carry it.
    """

    def __init__(self, keys: SecuritySettings | None = None, sender: bytes | None = None) -> None:
        self._apdus = ApduTree(keys, sender)
        self._whole: dict[object, bytes] = {}

    @property
    def apdus(self) -> list[bytes]:
        """The APDUs that were met and hold no secret, in order."""
        return self._apdus.apdus

    @property
    def hidden(self) -> list[bytes]:
        """What stands in the clear in the octets explained last and is not shown.

        An empty one is somewhere among them, and nobody can say where.
        """
        return self._apdus.hidden

    @property
    def unfinished(self) -> bool:
        """Whether what was explained last ends within an APDU of several frames or blocks."""
        return bool(self._whole) or self._apdus.unfinished

    @property
    def keys(self) -> SecuritySettings | None:
        """What ciphered APDUs are opened with, the dedicated key once it was seen."""
        return self._apdus.keys

    @keys.setter
    def keys(self, keys: SecuritySettings | None) -> None:
        self._apdus.keys = keys

    def explain(self, octets: bytes) -> Tree:
        """Return the tree of frames or of an APDU."""
        self.hidden.clear()
        root = Tree(f"[bold]{len(octets)} octets[/]")
        begins = octets[:1], octets[3:4]
        for fits, add in (
            (begins[0] == b"\x7e", self._hdlc),
            (begins == (b"\x68", b"\x68"), self._mbus),
            (octets[:2] == b"\x00\x01", self._wrapper),
        ):
            if fits:
                add(root, octets)
                return root
        if not any(self._found(root, octets, add) for add in (self._hdlc, self._mbus)):
            self._apdu(root, octets)
        return root

    @staticmethod
    def _found(root: Tree, octets: bytes, add: Callable[[Tree, bytes], bool]) -> bool:
        """Add frames that stand behind something else; whether there were any."""
        trial = Tree("")
        if not add(trial, octets):
            return False
        root.add("[yellow]something else in front of the frames[/]")
        root.children += trial.children
        return True

    def _hdlc(self, root: Tree, octets: bytes) -> bool:
        """Add the frames; whether one was whole."""
        reader = FrameReader()
        frames = reader.receive(octets)
        for bad in reader.bad_headers:
            node = root.add(f"[red]header check sequence wrong at octet {bad.offset}[/]")
            _add_header(node, octets[bad.offset + 1 :])
        cut = reader.waiting
        frames += reader.idle()
        for frame in frames:
            self._hdlc_frame(root, frame)
        if cut is not None and not any(frame.offset >= cut for frame in frames):
            rest = octets[cut + 1 :]
            if len(rest) >= _SHORTEST_HDLC_HEADER:
                node = root.add(f"[red]an HDLC frame at octet {cut} is cut short[/]")
                information = _add_header(node, rest)
                if information:
                    self._apdu(node, information)
        if not root.children:
            node = root.add("[red]no whole frame in it[/]")
            if len(octets) > _SHORTEST_HDLC_HEADER:
                _add_header(node, octets[1:])
        return bool(frames)

    def _hdlc_frame(self, root: Tree, frame: Frame) -> None:
        check = "right" if frame.fcs_right else "[red]wrong[/]"
        node = root.add(
            f"HDLC [bold]{frame.kind.name}[/] to {frame.destination.hex()} from "
            f"{frame.source.hex()}, control {frame.control:02X}, FCS {check}"
        )
        if frame.kind is Kind.I:
            node.add(f"N(S) {frame.send_sequence}, N(R) {frame.receive_sequence}")
        elif frame.kind in (Kind.RR, Kind.RNR):
            node.add(f"N(R) {frame.receive_sequence}")
        if frame.kind in (Kind.SNRM, Kind.UA):
            _add_parameters(node, frame.information)
        elif frame.information:
            station = frame.source, frame.destination
            whole = self._whole.pop(station, b"") + frame.information
            if frame.segmented:
                self._whole[station] = whole
                node.add(f"segment of {len(frame.information)} octets, more follow")
            else:
                self._apdu(node, whole)

    def _mbus(self, root: Tree, octets: bytes) -> bool:
        reader = MbusReader()
        frames = [*reader.receive(octets), *reader.idle()]
        for frame in frames:
            self._mbus_frame(root, frame)
        if not root.children:
            root.add("[red]no whole frame in it[/]")
        return bool(frames)

    def _mbus_frame(self, root: Tree, frame: MbusFrame) -> None:
        check = "right" if frame.checksum_right else "[red]wrong[/]"
        node = root.add(
            f"M-Bus part {frame.number}{' (last)' if frame.last else ''}, from "
            f"{frame.source:02x} to {frame.destination:02x}, checksum {check}"
        )
        before = b"" if frame.number == 0 else self._whole.pop("mbus", b"")
        if not frame.last:
            self._whole["mbus"] = before + frame.part
            node.add(f"part of {len(frame.part)} octets, more follow")
        elif before or frame.number == 0:
            self._apdu(node, before + frame.part)
        else:
            node.add("[red]the parts before it are missing[/]")

    def _wrapper(self, root: Tree, octets: bytes) -> bool:
        reader = WrapperReader(resynchronise=True)
        frames = reader.receive(octets)
        for frame in frames:
            self._wrapper_frame(root, frame)
        if reader.waiting is not None:
            rest = octets[reader.waiting :]
            announced = int.from_bytes(rest[6:8], "big")
            node = root.add(
                f"[red]a wrapper frame at octet {reader.waiting} is cut short:[/] "
                f"{announced} octets announced, {max(0, len(rest) - 8)} are there"
            )
            self._apdu(node, rest[8:])
        if not root.children:
            root.add("[red]no whole frame in it[/]")
        return bool(frames)

    def _wrapper_frame(self, root: Tree, frame: WrapperFrame) -> None:
        node = root.add(f"wrapper from wPort {frame.source} to wPort {frame.destination}")
        self._apdu(node, frame.apdu)

    def _apdu(self, node: Tree, octets: bytes) -> None:
        bare = llc.strip(octets)
        headers = (len(octets) - len(bare)) // len(llc.REQUEST)
        if headers:
            way = "a request" if octets[:3] == llc.REQUEST else "a response"
            node.add(f"[dim]LLC header of {way}{' (doubled)' if headers > 1 else ''}[/]")
        self._apdus.add(node, bare)


def _add_header(node: Tree, octets: bytes) -> bytes:
    """Add what can be said of an HDLC frame that is not whole; `octets` begin behind its flag.

    Returns:
        Its information as far as it is there.
    """
    length = (octets[0] & 0x07) << 8 | octets[1]
    node.add(f"format {octets[0] >> 4:X}{', segmented' if octets[0] & 0x08 else ''}")
    node.add(f"length {length}: {len(octets)} octets are there")
    at = 2
    for name in ("destination", "source"):
        end = next((i + 1 for i in range(at, min(at + 4, len(octets))) if octets[i] & 1), 0)
        if not end:
            node.add(f"[red]{name}: no address ends there[/] {octets[at : at + 4].hex()}")
            return b""
        node.add(f"{name}: {octets[at:end].hex()}")
        at = end
    if len(octets) < at + 3:
        return b""
    node.add(f"control {octets[at]:02X} {kind_of(octets[at]).name}")
    said, right = octets[at + 1 : at + 3], frame_check_sequence(octets[: at + 1])
    node.add(f"HCS {said.hex()}" + ("" if said == right else f" [red]wrong, {right.hex()}[/]"))
    return octets[at + 3 :]


def _add_parameters(node: Tree, information: bytes) -> None:
    try:
        for name, value in parse_parameters(information)._asdict().items():
            node.add(f"{name}: {value}")
    except RemoteError as error:
        node.add(f"[red]{escape(str(error))}[/]")


def to_json(tree: Tree) -> object:
    """Return a tree as plain JSON: a text, or an object from its text to its branches."""
    label = _plain_text(str(tree.label))
    if not tree.children:
        return label
    return {label: [to_json(child) for child in _children(tree)]}


def to_lines(tree: Tree) -> list[str]:
    """Return the branches of a tree as lines of plain text, two spaces deeper at each fork."""
    lines: list[str] = []
    for child in _children(tree):
        lines.append(_plain_text(str(child.label)))
        lines += [f"  {line}" for line in to_lines(child)]
    return lines


def _children(tree: Tree) -> Iterable[Tree]:
    return tree.children


def _plain_text(markup: str) -> str:
    return Text.from_markup(markup).plain
