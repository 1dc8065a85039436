"""APDUs as branches of a tree: fields with their meaning, ciphered ones opened, secrets left out.

Every APDU is a record (`hesper_dlms.apdu`), so one walk over fields shows them all. Fields that
hold encoded values are read as A-XDR, those that hold APDUs as APDUs.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import Any

from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod, ciphered
from hesper_dlms.axdr import Data
from hesper_dlms.classes import registry
from hesper_dlms.errors import DlmsError, LocalError, RemoteError
from hesper_dlms.gbt import BlockAssembly
from hesper_dlms.push import BareBody, Telegram, read_unwrapped
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.security.settings import ENCRYPTED
from rich.markup import escape
from rich.tree import Tree

from hesper_gateway.explain.data_tree import add_data, add_value
from hesper_gateway.explain.names import apdu_name, is_secret, number

_VALUES = {"octets", "result", "results", "parameters", "returned", "body", "values", "data"}
_APDUS = {"user_information"}
_RAW = (apdu.Ciphered, apdu.GeneralBlockTransfer, apdu.DataBlock)
_ANYONE = bytes(8)


class ApduTree:
    """Adds APDUs to a tree.

    Args:
        keys: To look inside ciphered APDUs; None leaves them closed.
        sender: System title of who sent them, for APDUs that do not carry it.

    Attributes:
        keys: The same, with the dedicated key once an InitiateRequest has told it.
        apdus: Those that were parsed and hold no secret, in order.
        hidden: What was left out of APDUs that came in the clear; empty where it is not known
            which octets that were.
    """

    def __init__(self, keys: SecuritySettings | None, sender: bytes | None) -> None:
        self.keys = keys
        self._sender = sender
        self._blocks = BlockAssembly()
        self._secret = False
        self._inside = False
        self.apdus: list[bytes] = []
        self.hidden: list[bytes] = []

    @property
    def unfinished(self) -> bool:
        """Whether blocks of an APDU are still to come."""
        return self._blocks.pending

    def add(self, node: Tree, octets: bytes) -> None:
        """Add one APDU, or say why it is none."""
        try:
            found = read_unwrapped(octets)
            if found is not None:
                _add_unwrapped(node, found)
                return
            parsed = apdu.parse(octets)
        except RemoteError as error:
            name = apdu_name(octets)
            begins = f" (it begins like {name})" if name else ""
            node.add(f"[red]no APDU: {escape(str(error))}[/]{begins}")
            shown = _unless_secret(octets)
            node.add(f"octets: {shown}")
            if shown != octets.hex():
                self._hide(octets)
            return
        branch = node.add(f"[bold cyan]{type(parsed).__name__}[/] ({len(octets)} octets)")
        if isinstance(parsed, apdu.Aarq | apdu.Aare) and self._sender is None:
            self._sender = parsed.system_title
        if isinstance(parsed, apdu.InitiateRequest):
            self._learn(parsed)
        before, self._secret = self._secret, False
        mark = len(self.apdus)
        self._add_fields(branch, parsed)
        del self.apdus[mark:]  # those inside this one
        if not self._secret:
            self.apdus.append(octets)
        self._secret = self._secret or before
        if octets[0] in ciphered.TAGS or octets[0] in (0xDD, 0xDF):
            self._open(branch, octets)
        elif isinstance(parsed, apdu.GeneralBlockTransfer):
            self._add_block(branch, parsed)

    def _add_block(self, node: Tree, block: apdu.GeneralBlockTransfer) -> None:
        """Put blocks together; explain the whole below its last one."""
        try:
            whole = self._blocks.add(block.number, block.last, block.octets)
        except RemoteError as error:
            node.add(f"[red]{escape(str(error))}[/]")
            return
        if whole is not None and whole[:1] != b"\xe0":
            self.add(node.add("the whole:"), whole)

    def _open(self, node: Tree, octets: bytes) -> None:
        if self.keys is None:
            node.add(
                "[dim]closed: give --encryption-key and --authentication-key to look inside[/]"
            )
            return
        try:
            opened = SecurityContext(self.keys, _ANYONE, self._title(octets)).open(octets)
        except DlmsError as error:
            node.add(f"[red]cannot be opened: {escape(str(error))}[/]")
            return
        node.add("tag verified" if opened.tag_verified else "[yellow]tag not verified[/]")
        before, encrypted = self._inside, bool(opened.security_control & ENCRYPTED)
        self._inside = before or encrypted
        self.add(node, opened.apdu)
        self._inside = before

    def _hide(self, value: Any) -> None:
        """Note what is not shown, unless only the keys show where it stands."""
        if not self._inside:
            self.hidden += _octets_in(value) or [b""]

    def _learn(self, request: apdu.InitiateRequest) -> None:
        """Take over the dedicated key of an association that is opened with keys of ours."""
        if self.keys is not None and request.dedicated_key:
            with suppress(LocalError):
                self.keys = dataclasses.replace(self.keys, dedicated_key=request.dedicated_key)

    def _title(self, octets: bytes) -> bytes | None:
        parsed = apdu.parse(octets)
        return getattr(parsed, "system_title", None) or self._sender

    def _add_fields(self, node: Tree, record: Any) -> None:
        for name in _field_names(record):
            value = getattr(record, name)
            if value is None:
                continue
            if is_secret(record, name):
                self._secret = True
                self._hide(value)
                node.add(f"{name}: [dim]not shown[/]")
            else:
                self._add_field(node, name, record, value)

    def _add_field(self, node: Tree, name: str, record: Any, value: Any, label: str = "") -> None:
        label = label or f"{name}: "
        if isinstance(value, Data):
            add_data(node.add(label), value)
        elif isinstance(value, CosemAttribute | CosemMethod):
            node.add(label + escape(_target(value)))
        elif _field_names(value):
            self._add_fields(node.add(f"{label}{type(value).__name__}"), value)
        elif isinstance(value, tuple):
            branch = node.add(f"{label}{len(value)}")
            for place, item in enumerate(value, start=1):
                self._add_field(branch, name, record, item, f"{place}: ")
        elif isinstance(value, int):
            node.add(label + escape(number(record, name, value)))
        elif not isinstance(value, bytes):
            node.add(label + escape(str(value)))
        elif name in _APDUS:
            self.add(node.add(label), value)
        elif name in _VALUES and not isinstance(record, _RAW):
            add_value(node.add(label), value)
        else:
            node.add(label + (value.hex() or "(empty)"))


def _field_names(record: Any) -> tuple[str, ...]:
    """Return the names of a record's fields; empty when it is none."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return tuple(field.name for field in dataclasses.fields(record) if field.repr)
    names: tuple[str, ...] = getattr(record, "_fields", ())
    return names if isinstance(record, tuple) else ()


def _octets_in(value: Any) -> list[bytes]:
    """Return the octets that a field's value is sent as, as far as it is octets."""
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, Data):
        return [axdr.encode(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    return (
        [octets for each in value for octets in _octets_in(each)]
        if isinstance(value, tuple)
        else []
    )


def _target(target: CosemAttribute | CosemMethod) -> str:
    code = obis.text(target.logical_name)
    described = registry.by_id(target.class_id).name
    if isinstance(target, CosemAttribute):
        wanted = f"{target.class_id}:{code}:{target.attribute_id}"
        name = registry.attribute_name(target.class_id, target.attribute_id)
    else:
        wanted = f"{target.class_id}:{code}:{target.method_id}"
        name = registry.method_name(target.class_id, target.method_id)
    return f"{wanted} ({described}, {name})"


def _add_unwrapped(node: Tree, found: Telegram | BareBody) -> None:
    if isinstance(found, BareBody):
        add_value(node.add("[bold cyan]A-XDR without an APDU[/]"), found.octets)
        return
    branch = node.add("[bold cyan]Telegram[/] (IEC 62056-21, in text)")
    for line in found.text.splitlines():
        branch.add(escape(line))


def _unless_secret(octets: bytes) -> str:
    """Return octets in hex, unless they begin like an APDU that carries secrets in the clear."""
    if octets[:1] in (b"\x60", b"\x01"):
        return "not shown: an AARQ or InitiateRequest may hold a password or a key"
    return octets.hex()
