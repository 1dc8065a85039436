"""Read and write by short names, from the client's side (IEC 62056-5-3, 6.11-6.14).

What the client is asked for are attributes and methods; what travels are their short names. Those
come from a table of base names, or from the meter's own association view, read at first use:

    attribute                      read, or write, of its name
    attribute with a selection     read with parameterized access
    method without a return value  write to its name, null-data where it has no parameter
    method with a return value     read with parameterized access, selector 0

Long answers come as data-block-results, each asked for by the number of the one before; long
requests leave as data blocks. A block out of turn ends the transfer.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from hesper_dlms.client.channel import Channel
from hesper_dlms.errors import DecodeError, LocalError, ServiceError
from hesper_dlms.exchange import Exchange
from hesper_dlms.short_names import (
    METHODS_WITH_RESULT,
    OBJECT_LIST,
    SHORT_NAME_REPLY_TO_HLS,
    BaseNames,
    ShortNames,
)

BLOCK_OVERHEAD = 13
"""Octets around the raw data of a block, either way."""

_METHOD_SELECTOR = 0
_NO_PARAMETER = axdr.null_data()
_LAST_BLOCK_NUMBER = 0xFFFF


class ShortNameServices:
    """What a client with short-name referencing sends instead of GET, SET and ACTION.

    Args:
        channel: The way to the meter.
        base_names: The meter's base names; None reads the association view at first use.
    """

    def __init__(self, channel: Channel, base_names: BaseNames | ShortNames | None) -> None:
        self._channel = channel
        if base_names is not None and not isinstance(base_names, ShortNames):
            base_names = ShortNames.from_base_names(base_names)
        self._names = base_names

    def names(self) -> Exchange[ShortNames]:
        """Return the meter's short names, read from its association view where not known yet."""
        if self._names is None:
            view = ShortNames(()).of_attribute(OBJECT_LIST)
            (result,) = yield from self.read_names([apdu.VariableName(view)])
            if isinstance(result, int):
                raise apdu.access_error(result)
            self._names = ShortNames.from_object_list(axdr.decode(result))
        return self._names

    def read(
        self, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> Exchange[Result]:
        """Return the octets of an attribute, or the data-access-result that refuses it."""
        return (yield from self.read_list([(attribute, selection)]))[0]

    def read_list(
        self, attributes: Sequence[tuple[CosemAttribute, AccessSelection | None]]
    ) -> Exchange[list[Result]]:
        """Return what `read` does for several attributes, asked for in one request."""
        names = yield from self.names()
        asked = [_access(names, *each) for each in attributes]
        accesses = [each for each in asked if not isinstance(each, int)]
        answered: list[Result] = []
        if accesses:
            answered = yield from self.read_names(accesses)
        answers = iter(answered)
        return [each if isinstance(each, int) else next(answers) for each in asked]

    def write(self, attribute: CosemAttribute, octets: bytes) -> Exchange[int]:
        """Write an attribute's octets; return the data-access-result."""
        return (yield from self.write_list([attribute], [octets]))[0]

    def write_list(
        self, attributes: Sequence[CosemAttribute], values: Sequence[bytes]
    ) -> Exchange[list[int]]:
        """Write several attributes in one request; return their data-access-results."""
        names = yield from self.names()
        asked = [_access(names, each, None) for each in attributes]
        pairs = [
            (access, value)
            for access, value in zip(asked, values, strict=True)
            if not isinstance(access, int)
        ]
        answered: list[int] = []
        if pairs:
            answered = yield from self.write_names(
                [pair[0] for pair in pairs], [v for _, v in pairs]
            )
        answers = iter(answered)
        return [each if isinstance(each, int) else next(answers) for each in asked]

    def invoke(self, method: CosemMethod, octets: bytes | None) -> Exchange[bytes | None]:
        """Invoke a method; return the octets that it returns, None when nothing.

        Raises:
            ServiceError: The data-access-result that refuses it.
        """
        names = yield from self.names()
        name = names.of_method(method)
        if (method.class_id, method.method_id) not in METHODS_WITH_RESULT:
            values = [axdr.encode(_NO_PARAMETER) if octets is None else octets]
            (code,) = yield from self.write_names([apdu.VariableName(name)], values)
            if code != DataAccessResult.SUCCESS:
                raise apdu.access_error(code)
            return None
        parameter = _NO_PARAMETER if octets is None else axdr.decode(octets)
        access = apdu.ParameterizedAccess(name, _METHOD_SELECTOR, parameter)
        (result,) = yield from self.read_names([access])
        if isinstance(result, int):
            raise apdu.access_error(result)
        return result

    def invoke_list(
        self, methods: Sequence[CosemMethod], parameters: Sequence[bytes | None]
    ) -> Exchange[list[bytes | ServiceError | None]]:
        """Invoke several methods one by one; for each its octets, None, or why it failed."""
        results: list[bytes | ServiceError | None] = []
        for method, octets in zip(methods, parameters, strict=True):
            try:
                results.append((yield from self.invoke(method, octets)))
            except ServiceError as error:
                results.append(error)
        return results

    def read_names(self, accesses: Sequence[VariableAccess]) -> Exchange[list[Result]]:
        """Read variables as they are named; one result for each."""
        request = apdu.ReadRequest(tuple(accesses))
        octets = request.to_octets()
        if self._channel.takes(len(octets), Conformance.BLOCK_TRANSFER_WITH_GET):
            answer = yield from self._channel.ask(octets)
        else:
            answer = yield from self._read_in_blocks(apdu.write_accesses(request.accesses))
        results = _read_results(answer)
        if len(results) == 1 and isinstance(results[0], apdu.DataBlockResult):
            whole = yield from self._gather(results[0])
            results = _of_blocks(whole, len(accesses))
        if len(results) != len(accesses):
            raise DecodeError(f"{len(accesses)} variables asked for, {len(results)} answered")
        return [_plain_result(each) for each in results]

    def write_names(
        self, accesses: Sequence[VariableAccess], values: Sequence[bytes]
    ) -> Exchange[list[int]]:
        """Write variables as they are named; one data-access-result for each."""
        written = apdu.Written(tuple(accesses), tuple(values))
        octets = apdu.WriteRequest(written).to_octets()
        if self._channel.takes(len(octets), Conformance.BLOCK_TRANSFER_WITH_SET):
            answer = yield from self._channel.ask(octets)
        else:
            answer = yield from self._write_in_blocks(written.to_octets())
        if not isinstance(answer, apdu.WriteResponse):
            raise _unexpected(answer)
        codes = [each for each in answer.results if isinstance(each, int)]
        if len(codes) != len(accesses):
            raise DecodeError(f"{len(accesses)} variables written, {len(codes)} answered")
        return codes

    def tell_names(
        self, accesses: Sequence[VariableAccess], values: Sequence[bytes]
    ) -> Exchange[None]:
        """Write variables as they are named and get no answer: unconfirmed write."""
        written = apdu.Written(tuple(accesses), tuple(values))
        yield from self._channel.tell(apdu.UnconfirmedWriteRequest(written).to_octets())

    def _gather(self, block: apdu.DataBlockResult) -> Exchange[bytes]:
        whole = bytearray()
        expected = block.number if block.number in (0, 1) else 1  # some meters begin with 0
        while True:
            if block.number != expected:
                raise DecodeError(f"block {block.number} came where {expected} was due")
            whole += block.octets
            if len(whole) > MAX_VALUE or not (block.octets or block.last):
                raise DecodeError("a value in blocks grows too large, or not at all")
            if block.last:
                return bytes(whole)
            request = apdu.ReadRequest((apdu.BlockNumberAccess(expected),))
            results = _read_results((yield from self._channel.ask(request.to_octets())))
            if len(results) != 1 or not isinstance(results[0], apdu.DataBlockResult):
                raise _refusal(results)
            block = results[0]
            expected += 1

    def _read_in_blocks(self, octets: bytes) -> Exchange[apdu.Apdu]:
        *others, last = [
            apdu.ReadRequest((apdu.ReadDataBlockAccess(last, number, part),)).to_octets()
            for number, last, part in self._blocks(octets)
        ]
        for number, request in enumerate(others, 1):
            results = _read_results((yield from self._channel.ask(request)))
            if results != (apdu.BlockNumber(number),):
                raise _refusal(results)
        return (yield from self._channel.ask(last))

    def _write_in_blocks(self, octets: bytes) -> Exchange[apdu.Apdu]:
        *others, last = [_write_block(*block) for block in self._blocks(octets)]
        for number, request in enumerate(others, 1):
            answer = yield from self._channel.ask(request)
            if not isinstance(answer, apdu.WriteResponse):
                raise _unexpected(answer)
            if answer.results != (apdu.WriteBlockNumber(number),):
                raise _refusal(answer.results)
        return (yield from self._channel.ask(last))

    def _blocks(self, octets: bytes) -> list[tuple[int, bool, bytes]]:
        size = self._channel.limit - BLOCK_OVERHEAD
        if size < 1 or len(octets) > size * _LAST_BLOCK_NUMBER:
            raise LocalError(f"{len(octets)} octets do not fit blocks of {size}")
        parts = [octets[at : at + size] for at in range(0, len(octets), size)]
        return [(number, number == len(parts), part) for number, part in enumerate(parts, 1)]


def reply_to_hls_by_short_name(channel: Channel, octets: bytes) -> Exchange[bytes]:
    """Invoke reply_to_HLS of the association object with a proof; return the meter's proof.

    Raises:
        ServiceError: The meter refused our proof.
    """
    name = ShortNames(()).of_method(SHORT_NAME_REPLY_TO_HLS)
    access = apdu.ParameterizedAccess(name, _METHOD_SELECTOR, axdr.decode(octets))
    answer = yield from channel.ask(apdu.ReadRequest((access,)).to_octets())
    results = _read_results(answer)
    if len(results) != 1 or not isinstance(results[0], bytes):
        raise _refusal(results)
    return results[0]


def _access(
    names: ShortNames, attribute: CosemAttribute, selection: AccessSelection | None
) -> VariableAccess | int:
    try:
        name = names.of_attribute(attribute)
    except ServiceError as error:
        return error.code
    if selection is None:
        return apdu.VariableName(name)
    return apdu.ParameterizedAccess(name, selection.selector, selection.parameters)


def _read_results(answer: apdu.Apdu) -> tuple[apdu.ReadResult, ...]:
    if not isinstance(answer, apdu.ReadResponse):
        raise _unexpected(answer)
    return answer.results


def _of_blocks(whole: bytes, count: int) -> tuple[apdu.ReadResult, ...]:
    """Read what the blocks add up to: the list of results, or one value alone where meters err."""
    try:
        results = apdu.ReadResponse.from_results(whole).results
        if len(results) == count:
            return results
    except DecodeError:
        if count != 1:
            raise
    return (whole,)


def _plain_result(result: apdu.ReadResult) -> Result:
    if isinstance(result, bytes | int):
        return result
    raise DecodeError("a block among the results of several variables")


def _refusal(results: Sequence[object]) -> DecodeError | ServiceError:
    if len(results) == 1 and isinstance(results[0], int):
        return apdu.access_error(results[0])
    return DecodeError("a block was answered with something else than the next one")


def _unexpected(answer: object) -> DecodeError:
    return DecodeError(f"the meter answered with {type(answer).__name__}, which does not fit")


def _write_block(number: int, last: bool, part: bytes) -> bytes:
    access = apdu.WriteDataBlockAccess(last, number)
    written = apdu.Written((access,), (axdr.encode(axdr.octet_string(part)),))
    return apdu.WriteRequest(written).to_octets()
