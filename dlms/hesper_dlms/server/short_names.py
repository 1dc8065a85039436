"""Read and write by short names, from the meter's side (IEC 62056-5-3, 6.11-6.14).

A short name is resolved to the attribute or method it stands for, and the meter's objects are asked
for that, just as with logical names. The association view, attribute object_list of the object of
class 12 at 0xFA00, is answered here from the meter's `ShortNames`; everything else is the objects'.

    request                                 answer
    read variable-name                      data, or data-access-error
    read parameterized-access               the same with a selection; a method is invoked
    read block-number-access                the next data-block-result
    read read-data-block-access             block-number until the last, then the read's answer
    write variable-name                     success or data-access-error; a method is invoked
    write write-data-block-access           block-number until the last, then the write's answer
    unconfirmed write                       none

One long transfer each way is kept at a time; a new one replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    AccessSelection,
    Conformance,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    Result,
    VariableAccess,
)
from hesper_dlms.association import MAX_VALUE
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.server.model import CosemServer
from hesper_dlms.server.transfer import Outgoing, Service
from hesper_dlms.short_names import ASSOCIATION_SN, ASSOCIATION_SN_NAME, OBJECT_LIST, ShortNames

_BLOCK_OVERHEAD = 9
_OUR_NAME = CosemAttribute(ASSOCIATION_SN, ASSOCIATION_SN_NAME, 1)
_READ_ERROR, _SERVICE_UNSUPPORTED = (5, 3), 2

Response = apdu.ReadResponse | apdu.WriteResponse | apdu.ConfirmedServiceError


class Silence:
    """The response to what is not answered."""

    @staticmethod
    def to_octets() -> bytes:
        """Return no octets."""
        return b""


class ShortNameServices:
    """The data services of one association with short names.

    Args:
        objects: The meter's objects.
        names: Their short names.
        client: The client's address, handed to the objects.
        limit: Octets that a plain response may have.
        conformance: The services that were agreed.
    """

    __slots__ = ("_client", "_conformance", "_incoming", "_names", "_objects", "_out", "limit")

    def __init__(
        self,
        objects: CosemServer,
        names: ShortNames,
        client: int,
        limit: int,
        conformance: Conformance,
    ) -> None:
        self._objects = objects
        self._names = names
        self._client = client
        self.limit = limit
        self._conformance = conformance
        self._incoming = _Incoming()
        self._out: Outgoing | None = None

    def answer(self, request: apdu.Apdu) -> Response | Silence:
        """Return the response to a request; a confirmed-service-error for other services."""
        if isinstance(request, apdu.ReadRequest):
            return self._answer_read(request.accesses)
        if isinstance(request, apdu.WriteRequest):
            return self._answer_write(request.written)
        if isinstance(request, apdu.UnconfirmedWriteRequest):
            self._write_all(request.written)
            return Silence()
        return apdu.ConfirmedServiceError(*_READ_ERROR, _SERVICE_UNSUPPORTED)

    def _answer_read(self, accesses: tuple[VariableAccess, ...]) -> Response:
        if len(accesses) == 1:
            access = accesses[0]
            if isinstance(access, apdu.BlockNumberAccess):
                return apdu.ReadResponse((self._next_block(access.number),))
            if isinstance(access, apdu.ReadDataBlockAccess):
                return self._read_block(access)
        return self._read_all(accesses)

    def _read_all(self, accesses: tuple[VariableAccess, ...]) -> Response:
        response = apdu.ReadResponse(tuple(self._read_within_bounds(accesses)))
        octets = response.results_octets()
        if len(octets) + 1 <= self.limit:
            return response
        if not self._conformance & Conformance.BLOCK_TRANSFER_WITH_GET:
            return apdu.ReadResponse((DataAccessResult.OTHER_REASON,) * len(accesses))
        self._out = Outgoing(Service.READ, octets, self.limit - _BLOCK_OVERHEAD)
        return apdu.ReadResponse((self._next_block(0),))

    def _read_within_bounds(self, accesses: tuple[VariableAccess, ...]) -> Iterator[Result]:
        """Yield results; a list that asks for one long value a thousand times is cut off."""
        size = 0
        for access in accesses:
            result = self._read(access) if size <= MAX_VALUE else int(DataAccessResult.OTHER_REASON)
            size += len(result) if isinstance(result, bytes) else 0
            yield result

    def _next_block(self, acknowledged: int) -> apdu.ReadResult:
        if self._out is None:
            return int(DataAccessResult.NO_LONG_GET_IN_PROGRESS)
        block = self._out.next_block(acknowledged)
        if block is None or block.last:
            self._out = None
        if block is None:
            return int(DataAccessResult.DATA_BLOCK_NUMBER_INVALID)
        return apdu.DataBlockResult(*block)

    def _read_block(self, block: apdu.ReadDataBlockAccess) -> Response:
        whole = self._incoming.add(block.number, block.last, block.octets)
        if isinstance(whole, DataAccessResult):
            return apdu.ReadResponse((int(whole),))
        if whole is None:
            return apdu.ReadResponse((apdu.BlockNumber(block.number),))
        return self._read_all(apdu.ReadRequest.from_accesses(whole).accesses)

    def _answer_write(self, written: apdu.Written) -> Response:
        access = written.accesses[0] if len(written.accesses) == 1 else None
        if not isinstance(access, apdu.WriteDataBlockAccess):
            return apdu.WriteResponse(tuple(self._write_all(written)))
        if len(written.values) != 1:
            return apdu.WriteResponse((int(DataAccessResult.TYPE_UNMATCHED),))
        part = axdr.decode(written.values[0]).as_octets()
        whole = self._incoming.add(access.number, access.last, part)
        if isinstance(whole, DataAccessResult):
            return apdu.WriteResponse((int(whole),))
        if whole is None:
            return apdu.WriteResponse((apdu.WriteBlockNumber(access.number),))
        return apdu.WriteResponse(tuple(self._write_all(apdu.Written.from_octets(whole))))

    def _write_all(self, written: apdu.Written) -> list[int]:
        if len(written.accesses) != len(written.values):
            return [int(DataAccessResult.OTHER_REASON)] * len(written.accesses)
        pairs = zip(written.accesses, written.values, strict=True)
        return [self._write(access, value) for access, value in pairs]

    def _read(self, access: VariableAccess) -> Result:
        if isinstance(access, apdu.ParameterizedAccess):
            return self._select(access)
        if not isinstance(access, apdu.VariableName):
            return int(DataAccessResult.OTHER_REASON)
        target = self._names.resolve(access.name)
        if isinstance(target, CosemAttribute):
            return self._get(target, None)
        unknown = DataAccessResult.OBJECT_UNDEFINED
        return int(unknown if target is None else DataAccessResult.READ_WRITE_DENIED)

    def _select(self, access: apdu.ParameterizedAccess) -> Result:
        target = self._names.resolve(access.name)
        if isinstance(target, CosemAttribute):
            return self._get(target, AccessSelection(access.selector, access.parameter))
        if target is None:
            return int(DataAccessResult.OBJECT_UNDEFINED)
        result = self._invoke(target, axdr.encode(access.parameter))
        return axdr.encode(axdr.null_data()) if result is None else result

    def _write(self, access: VariableAccess, value: bytes) -> int:
        if not isinstance(access, apdu.VariableName):
            return int(DataAccessResult.OTHER_REASON)
        target = self._names.resolve(access.name)
        if target is None:
            return int(DataAccessResult.OBJECT_UNDEFINED)
        if isinstance(target, CosemMethod):
            result = self._invoke(target, value)
            return result if isinstance(result, int) else int(DataAccessResult.SUCCESS)
        return _code(lambda: self._objects.set(self._client, target, value))

    def _get(self, attribute: CosemAttribute, selection: AccessSelection | None) -> Result:
        if attribute == _OUR_NAME:
            return axdr.encode(axdr.octet_string(ASSOCIATION_SN_NAME))
        names = self._names
        try:
            if attribute == OBJECT_LIST:
                view = names.object_list() if selection is None else names.select(selection)
                return axdr.encode(view)
            return self._objects.get(self._client, attribute, selection)
        except ServiceError as error:
            return error.code
        except DecodeError:
            return int(DataAccessResult.TYPE_UNMATCHED)

    def _invoke(self, method: CosemMethod, parameter: bytes) -> Result | None:
        try:
            return self._objects.action(self._client, method, parameter)
        except ServiceError as error:
            return error.code
        except DecodeError:
            return int(DataAccessResult.TYPE_UNMATCHED)


class _Incoming:
    """A long request on its way in."""

    __slots__ = ("_expected", "_whole")

    def __init__(self) -> None:
        self._whole = bytearray()
        self._expected = 1

    def add(self, number: int, last: bool, octets: bytes) -> bytes | DataAccessResult | None:
        """Take a block; return all of them after the last, None before, or what is wrong."""
        if number == 1:
            self._whole.clear()
        elif number != self._expected:
            self._expected = 1
            return DataAccessResult.DATA_BLOCK_NUMBER_INVALID
        self._expected = number + 1
        self._whole += octets
        if len(self._whole) > MAX_VALUE or not (octets or last):
            self._expected = 1
            return DataAccessResult.LONG_SET_ABORTED
        if not last:
            return None
        whole = bytes(self._whole)
        self._whole.clear()
        self._expected = 1
        return whole


def _code(work: Callable[[], None]) -> int:
    try:
        work()
    except ServiceError as error:
        return error.code
    except DecodeError:
        return int(DataAccessResult.TYPE_UNMATCHED)
    return int(DataAccessResult.SUCCESS)
