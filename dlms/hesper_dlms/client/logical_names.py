"""The data services with logical names: lists cut to what the meter takes, singles where it must.

A list goes with-list where the meter granted multiple references, in requests of at most
`with_list_limit` items whose names fit one APDU. What does not fit otherwise travels in blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hesper_dlms.apdu import (
    AccessSelection,
    ActionOutcome,
    Conformance,
    CosemAttribute,
    CosemMethod,
    Result,
    SelectedAttribute,
)
from hesper_dlms.apdu.descriptors import write_selection
from hesper_dlms.apdu.error import SERVICE_NOT_SUPPORTED
from hesper_dlms.client import action, get, set  # noqa: A004 - the service's name
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.lists import LIST_HEAD, batches
from hesper_dlms.errors import ServiceError
from hesper_dlms.exchange import Exchange

_NAME = 9
_UNSUPPORTED: Final = ("exception-response", SERVICE_NOT_SUPPORTED)
"""How some meters answer a list although they granted multiple references."""


class LogicalNameServices:
    """GET, SET and ACTION of one association.

    Args:
        channel: The way to the meter.
        with_list_limit: Items of one request at most; 1 never uses with-list.
    """

    def __init__(self, channel: Channel, with_list_limit: int) -> None:
        self._channel = channel
        self._with_list_limit = with_list_limit

    def read(
        self, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> Exchange[Result]:
        """Return the octets of an attribute, or the data-access-result that refuses it."""
        return get.read(self._channel, attribute, selection)

    def read_list(self, attributes: Sequence[SelectedAttribute]) -> Exchange[list[Result]]:
        """Return what `read` does for several attributes."""
        results: list[Result] = []
        for part in self._parts([_size(selected) for selected in attributes]):
            some = attributes[part]
            if len(some) == 1:
                results.append((yield from get.read(self._channel, *some[0])))
            else:
                results += yield from self._read_together(some)
        return results

    def _read_together(self, some: Sequence[SelectedAttribute]) -> Exchange[Sequence[Result]]:
        """Read a list in one request, or one by one from now on if the meter knows no lists."""
        try:
            return (yield from get.read_list(self._channel, some))
        except ServiceError as error:
            if (error.kind, error.code) != _UNSUPPORTED:
                raise
        self._with_list_limit = 1
        return (yield from self.read_list(some))

    def write(
        self, attribute: CosemAttribute, octets: bytes, selection: AccessSelection | None = None
    ) -> Exchange[int]:
        """Write an attribute, or what a selection takes of it; return the data-access-result."""
        return set.write(self._channel, attribute, octets, selection)

    def write_list(
        self, attributes: Sequence[SelectedAttribute], values: Sequence[bytes]
    ) -> Exchange[list[int]]:
        """Write several attributes; return the data-access-result of each."""
        results: list[int] = []
        sizes = [_size(selected) for selected in attributes]
        for part in self._parts(sizes, values, Conformance.BLOCK_TRANSFER_WITH_SET):
            some, octets = attributes[part], values[part]
            if len(some) == 1:
                attribute, selection = some[0]
                code = yield from set.write(self._channel, attribute, octets[0], selection)
                results.append(code)
            else:
                results += yield from set.write_list(self._channel, some, octets)
        return results

    def invoke(self, method: CosemMethod, octets: bytes | None) -> Exchange[bytes | None]:
        """Invoke a method; return the octets that it returns; ServiceError when it failed."""
        return action.invoke(self._channel, method, octets)

    def invoke_list(
        self, methods: Sequence[CosemMethod], parameters: Sequence[bytes | None]
    ) -> Exchange[list[bytes | ServiceError | None]]:
        """Invoke several methods; return for each its octets, None, or why it failed."""
        results: list[bytes | ServiceError | None] = []
        values = [octets or b"\x00" for octets in parameters]
        sizes = [_NAME] * len(methods)
        for part in self._parts(sizes, values, Conformance.BLOCK_TRANSFER_WITH_ACTION):
            some, octets = methods[part], parameters[part]
            if len(some) == 1:
                results.append((yield from self._invoke_one(some[0], octets[0])))
            else:
                outcomes = yield from action.invoke_list(self._channel, some, octets)
                results += map(_returned, outcomes)
        return results

    def _invoke_one(
        self, method: CosemMethod, octets: bytes | None
    ) -> Exchange[bytes | ServiceError | None]:
        try:
            return (yield from action.invoke(self._channel, method, octets))
        except ServiceError as error:
            if error.kind == "exception-response":
                raise
            return error

    def _parts(
        self, sizes: list[int], values: Sequence[bytes] = (), blocks: Conformance | None = None
    ) -> list[slice]:
        """Return which items go together; values count where they cannot travel in blocks."""
        channel = self._channel
        granted = channel.granted & Conformance.MULTIPLE_REFERENCES
        most = self._with_list_limit if granted else 1
        if blocks is not None and not channel.blocks_for(blocks):
            sizes = [size + len(octets) for size, octets in zip(sizes, values, strict=True)]
        return batches(sizes, channel.limit - LIST_HEAD, most)


def _size(selected: SelectedAttribute) -> int:
    return _NAME + len(write_selection(selected[1]))


def _returned(outcome: ActionOutcome) -> bytes | ServiceError | None:
    try:
        return action.returned(outcome)
    except ServiceError as error:
        return error
