"""GET, SET and ACTION on the meter's side, with block transfer both ways (IEC 62056-5-3, 6.6-6.8).

A `Services` belongs to one open association. It turns requests into responses that fit the
client's largest APDU; what does not fit leaves in blocks. One long transfer each way is kept at a
time; a new one replaces it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    ActionResult,
    Conformance,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    DataBlock,
    Result,
)
from hesper_dlms.association import BLOCK_OVERHEAD
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.server.model import CosemServer
from hesper_dlms.server.transfer import Incoming, Outgoing

Response = apdu.GetResponse | apdu.SetResponse | apdu.ActionResponse
_NO_BLOCK = DataBlock(True, 0, b"")


class Services:
    """The data services of one association.

    Args:
        objects: The meter's objects.
        client: The client's address, handed to the objects.
        limit: Octets that a plain response may have.
        conformance: The services that were agreed.
    """

    __slots__ = ("_client", "_conformance", "_incoming", "_limit", "_objects", "_outgoing")

    def __init__(
        self, objects: CosemServer, client: int, limit: int, conformance: Conformance
    ) -> None:
        self._objects = objects
        self._client = client
        self._limit = limit
        self._conformance = conformance
        self._outgoing: Outgoing | None = None
        self._incoming: Incoming | None = None

    def answer(self, request: apdu.Apdu) -> Response | None:
        """Return the response to a request; None when it is none of these services."""
        serve = _SERVICES.get(type(request))
        return None if serve is None else serve(self, request)

    def get(self, request: apdu.GetRequestNormal) -> Response:
        """Read one attribute."""
        result = self._read(request.attribute, request.selection)
        response = apdu.GetResponseNormal(request.invoke_id_and_priority, result)
        if isinstance(result, int) or len(result) + 4 <= self._limit:
            return response
        if not self._conformance & Conformance.BLOCK_TRANSFER_WITH_GET:
            code = DataAccessResult.OTHER_REASON
            return apdu.GetResponseNormal(request.invoke_id_and_priority, code)
        return self._begin_get(request.invoke_id_and_priority, result)

    def get_with_list(self, request: apdu.GetRequestWithList) -> Response:
        """Read several attributes; each result stands for itself."""
        invoke = request.invoke_id_and_priority
        results = tuple(self._read(*each) for each in request.attributes)
        octets = apdu.write_results(results)
        if len(octets) + 3 <= self._limit:
            return apdu.GetResponseWithList(invoke, results)
        if not self._conformance & Conformance.BLOCK_TRANSFER_WITH_GET:
            codes = (int(DataAccessResult.OTHER_REASON),) * len(results)
            return apdu.GetResponseWithList(invoke, codes)
        return self._begin_get(invoke, octets)

    def get_next(self, request: apdu.GetRequestNext) -> Response:
        """Send the next block of a long value."""
        invoke, number = request.invoke_id_and_priority, request.block_number
        if self._outgoing is None:
            error = DataAccessResult.NO_LONG_GET_IN_PROGRESS
        elif (block := self._outgoing.next_block(number)) is not None:
            if block.last:
                self._outgoing = None
            return apdu.GetResponseWithBlock(invoke, block)
        else:
            error = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
            self._outgoing = None
        return apdu.GetResponseWithBlock(invoke, DataBlock(True, number, b""), error)

    def set(self, request: apdu.SetRequestNormal) -> Response:
        """Write one attribute."""
        result = self._write(request.attribute, request.octets)
        return apdu.SetResponseNormal(request.invoke_id_and_priority, result)

    def set_with_list(self, request: apdu.SetRequestWithList) -> Response:
        """Write several attributes in order; each result stands for itself."""
        invoke = request.invoke_id_and_priority
        if len(request.attributes) != len(request.values):
            codes = (int(DataAccessResult.OTHER_REASON),) * len(request.attributes)
            return apdu.SetResponseWithList(invoke, codes)
        pairs = zip(request.attributes, request.values, strict=True)
        codes = tuple(self._write(attribute, value) for (attribute, _), value in pairs)
        return apdu.SetResponseWithList(invoke, codes)

    def set_first(self, request: apdu.SetRequestFirstBlock) -> Response:
        """Begin to take a long value in."""
        self._incoming = Incoming(request.attribute)
        return self._set_block(request.invoke_id_and_priority, request.block)

    def set_block(self, request: apdu.SetRequestBlock) -> Response:
        """Take the next block of a long value in."""
        return self._set_block(request.invoke_id_and_priority, request.block)

    def action(self, request: apdu.ActionRequestNormal) -> Response:
        """Carry a method out."""
        return self._perform(request.invoke_id_and_priority, request.method, request.parameters)

    def action_first(self, request: apdu.ActionRequestFirstBlock) -> Response:
        """Begin to take long parameters in."""
        self._incoming = Incoming(request.method)
        return self._action_block(request.invoke_id_and_priority, request.block)

    def action_block(self, request: apdu.ActionRequestBlock) -> Response:
        """Take the next block of long parameters in."""
        return self._action_block(request.invoke_id_and_priority, request.block)

    def action_next(self, request: apdu.ActionRequestNextBlock) -> Response:
        """Send the next block of a long return value."""
        invoke = request.invoke_id_and_priority
        block = self._outgoing.next_block(request.block_number) if self._outgoing else None
        if block is None or block.last:
            self._outgoing = None
        if block is None:
            return apdu.ActionResponseNormal(invoke, ActionResult.LONG_ACTION_ABORTED)
        return apdu.ActionResponseBlock(invoke, block)

    def _read(self, attribute: CosemAttribute, selection: apdu.AccessSelection | None) -> Result:
        try:
            return self._objects.get(self._client, attribute, selection)
        except ServiceError as error:
            return error.code
        except DecodeError:
            return DataAccessResult.SCOPE_OF_ACCESS_VIOLATED

    def _write(self, attribute: CosemAttribute, octets: bytes) -> int:
        try:
            self._objects.set(self._client, attribute, octets)
        except ServiceError as error:
            return error.code
        except DecodeError:
            return DataAccessResult.TYPE_UNMATCHED
        return DataAccessResult.SUCCESS

    def _begin_get(self, invoke: int, octets: bytes) -> Response:
        outgoing = Outgoing(octets, self._limit - BLOCK_OVERHEAD)
        self._outgoing = outgoing
        return self.get_next(apdu.GetRequestNext(invoke, 0))

    def _set_block(self, invoke: int, block: DataBlock) -> Response:
        incoming = self._incoming
        if incoming is None or not isinstance(incoming.target, CosemAttribute):
            code = DataAccessResult.NO_LONG_SET_IN_PROGRESS
            return apdu.SetResponseLastBlock(invoke, code, block.number)
        if not incoming.add(block):
            self._incoming = None
            code = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
            return apdu.SetResponseLastBlock(invoke, code, block.number)
        if not block.last:
            return apdu.SetResponseBlock(invoke, block.number)
        self._incoming = None
        octets = incoming.octets()
        unmatched = int(DataAccessResult.TYPE_UNMATCHED)
        result = self._write(incoming.target, octets) if _parses(octets) else unmatched
        return apdu.SetResponseLastBlock(invoke, result, block.number)

    def _action_block(self, invoke: int, block: DataBlock) -> Response:
        incoming = self._incoming
        if incoming is None or not isinstance(incoming.target, CosemMethod):
            return apdu.ActionResponseNormal(invoke, ActionResult.NO_LONG_ACTION_IN_PROGRESS)
        if not incoming.add(block):
            self._incoming = None
            return apdu.ActionResponseNormal(invoke, ActionResult.LONG_ACTION_ABORTED)
        if not block.last:
            return apdu.ActionResponseNextBlock(invoke, block.number)
        self._incoming = None
        octets = incoming.octets()
        if not _parses(octets):
            return apdu.ActionResponseNormal(invoke, ActionResult.TYPE_UNMATCHED)
        return self._perform(invoke, incoming.target, octets)

    def _perform(self, invoke: int, method: CosemMethod, parameters: bytes | None) -> Response:
        try:
            returned = self._objects.action(self._client, method, parameters)
        except ServiceError as error:
            return apdu.ActionResponseNormal(invoke, error.code)
        except DecodeError:
            return apdu.ActionResponseNormal(invoke, ActionResult.TYPE_UNMATCHED)
        if returned is None or len(returned) + 6 <= self._limit:
            return apdu.ActionResponseNormal(invoke, ActionResult.SUCCESS, returned)
        if not self._conformance & Conformance.BLOCK_TRANSFER_WITH_ACTION:
            code = DataAccessResult.OTHER_REASON
            return apdu.ActionResponseNormal(invoke, ActionResult.SUCCESS, int(code))
        self._outgoing = Outgoing(returned, self._limit - BLOCK_OVERHEAD)
        return self.action_next(apdu.ActionRequestNextBlock(invoke, 0))


def _parses(octets: bytes) -> bool:
    try:
        axdr.decode(octets)
    except DecodeError:
        return False
    return True


_SERVICES: dict[type, Callable[[Services, Any], Response]] = {
    apdu.GetRequestNormal: Services.get,
    apdu.GetRequestNext: Services.get_next,
    apdu.GetRequestWithList: Services.get_with_list,
    apdu.SetRequestNormal: Services.set,
    apdu.SetRequestFirstBlock: Services.set_first,
    apdu.SetRequestBlock: Services.set_block,
    apdu.SetRequestWithList: Services.set_with_list,
    apdu.ActionRequestNormal: Services.action,
    apdu.ActionRequestFirstBlock: Services.action_first,
    apdu.ActionRequestBlock: Services.action_block,
    apdu.ActionRequestNextBlock: Services.action_next,
}
