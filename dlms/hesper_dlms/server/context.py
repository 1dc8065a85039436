"""What the services of one association share: the meter's objects, limits, transfers under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    AccessSelection,
    ActionOutcome,
    ActionResult,
    Conformance,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    Result,
)
from hesper_dlms.apdu.access import NULL_DATA
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.association import BLOCK_OVERHEAD, MAX_VALUE
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.server.model import CosemServer, SelectiveWriter
from hesper_dlms.server.transfer import Incoming, Outgoing, Service

Attributes: TypeAlias = tuple[apdu.SelectedAttribute, ...]
Methods: TypeAlias = tuple[CosemMethod, ...]


class ServiceContext:
    """One association, as its services see it.

    Args:
        objects: The meter's objects.
        client: The client's address, handed to the objects.
        limit: Octets that a plain response may have.
        conformance: The services that were agreed.

    One long transfer each way is kept at a time; a new one replaces it. `general_blocks` says that
    the response to the present request will travel in general blocks, whatever its length.
    """

    __slots__ = (
        "_client",
        "_objects",
        "conformance",
        "general_blocks",
        "limit",
        "outgoing",
        "parameters",
        "values",
    )

    def __init__(
        self, objects: CosemServer, client: int, limit: int, conformance: Conformance
    ) -> None:
        self._objects = objects
        self._client = client
        self.limit = limit
        self.conformance = conformance
        self.general_blocks = False
        self.outgoing: Outgoing | None = None
        self.values: Incoming[apdu.SetResponse] | None = None
        self.parameters: Incoming[apdu.ActionResponse] | None = None

    def read(self, attribute: CosemAttribute, selection: AccessSelection | None) -> Result:
        """Return an attribute's octets, or the data-access-result that refuses them."""
        try:
            return self._objects.get(self._client, attribute, selection)
        except ServiceError as error:
            return error.code
        except DecodeError:
            return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED

    def read_all(self, attributes: Attributes) -> tuple[Result, ...]:
        """Read several attributes; each result stands for itself.

        A list that asks for one long value a thousand times is cut off: other-reason.
        """
        results: list[Result] = []
        size = 0
        for attribute, selection in attributes:
            full = size > MAX_VALUE
            result = DataAccessResult.OTHER_REASON if full else self.read(attribute, selection)
            size += len(result) if isinstance(result, bytes) else 0
            results.append(result)
        return tuple(results)

    def write(
        self, attribute: CosemAttribute, selection: AccessSelection | None, octets: bytes
    ) -> int:
        """Write an attribute, or what a selection takes of it; return the data-access-result."""
        objects = self._objects
        try:
            if selection is None:
                objects.set(self._client, attribute, octets)
            elif isinstance(objects, SelectiveWriter):
                objects.set_selected(self._client, attribute, selection, octets)
            else:
                return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED
        except ServiceError as error:
            return error.code
        except DecodeError:
            return DataAccessResult.TYPE_UNMATCHED
        return DataAccessResult.SUCCESS

    def write_all(self, attributes: Attributes, values: Sequence[bytes]) -> tuple[int, ...]:
        """Write several attributes in order; each result stands for itself."""
        if len(values) != len(attributes):
            return (int(DataAccessResult.OTHER_REASON),) * len(attributes)
        return tuple(
            self.write(attribute, selection, octets)
            for (attribute, selection), octets in zip(attributes, values, strict=True)
        )

    def invoke(self, method: CosemMethod, parameters: bytes | None) -> ActionOutcome:
        """Carry a method out."""
        try:
            returned = self._objects.action(self._client, method, parameters)
        except ServiceError as error:
            return ActionOutcome(error.code)
        except DecodeError:
            return ActionOutcome(ActionResult.TYPE_UNMATCHED)
        return ActionOutcome(ActionResult.SUCCESS, returned)

    def invoke_all(
        self, methods: Methods, parameters: Sequence[bytes]
    ) -> tuple[ActionOutcome, ...]:
        """Carry several methods out in order; null-data is no parameter."""
        if len(parameters) != len(methods):
            return (ActionOutcome(ActionResult.OTHER_REASON),) * len(methods)
        return tuple(
            self.invoke(method, None if octets == NULL_DATA else octets)
            for method, octets in zip(methods, parameters, strict=True)
        )

    def fits(self, size: int, own_blocks: Conformance) -> bool:
        """Return whether a response may leave whole: by its size, or in general blocks."""
        if self.general_blocks or size <= self.limit:
            return True
        return not self.conformance & own_blocks and bool(
            self.conformance & Conformance.GENERAL_BLOCK_TRANSFER
        )

    def send_in_blocks(self, service: Service, octets: bytes) -> None:
        """Begin to send a long value; it waits for its first block to be asked for."""
        self.outgoing = Outgoing(service, octets, self.limit - BLOCK_OVERHEAD)

    def next_block(self, service: Service, acknowledged: int) -> apdu.DataBlock | None:
        """Return the next block of a long value; None, and its end, when that was not next."""
        outgoing = self.outgoing
        block = None
        if outgoing is not None and outgoing.service is service:
            block = outgoing.next_block(acknowledged)
        if block is None or block.last:
            self.outgoing = None
        return block


def parses(octets: bytes) -> bool:
    """Return whether octets are one whole A-XDR value."""
    try:
        axdr.decode(octets)
    except DecodeError:
        return False
    return True


def read_values(octets: bytes) -> tuple[bytes, ...] | None:
    """Return the octets of each value of a list that came in blocks; None when it is no list."""
    reader = Reader(octets)
    try:
        values = reader.values()
        reader.end()
    except DecodeError:
        return None
    return values
