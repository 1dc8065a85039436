"""SET on the meter's side (IEC 62056-5-3, 6.7): one attribute or a list, whole or in blocks."""

from __future__ import annotations

from functools import partial

from hesper_dlms import apdu
from hesper_dlms.apdu import DataAccessResult, DataBlock, SelectedAttribute, SetResponse
from hesper_dlms.server.context import Attributes, ServiceContext, parses, read_values
from hesper_dlms.server.transfer import Incoming


def normal(context: ServiceContext, request: apdu.SetRequestNormal) -> SetResponse:
    """Write one attribute."""
    result = context.write(request.attribute, request.selection, request.octets)
    return apdu.SetResponseNormal(request.invoke_id_and_priority, result)


def with_list(context: ServiceContext, request: apdu.SetRequestWithList) -> SetResponse:
    """Write several attributes in order; each result stands for itself."""
    results = context.write_all(request.attributes, request.values)
    return apdu.SetResponseWithList(request.invoke_id_and_priority, results)


def first_block(context: ServiceContext, request: apdu.SetRequestFirstBlock) -> SetResponse:
    """Begin to take one long value in."""
    attribute = request.attribute, request.selection
    context.values = Incoming(partial(_finish, context, attribute))
    return _take(context, request.invoke_id_and_priority, request.block)


def list_first_block(
    context: ServiceContext, request: apdu.SetRequestWithListFirstBlock
) -> SetResponse:
    """Begin to take a list of values in."""
    context.values = Incoming(partial(_finish_list, context, request.attributes))
    return _take(context, request.invoke_id_and_priority, request.block)


def block(context: ServiceContext, request: apdu.SetRequestBlock) -> SetResponse:
    """Take the next block in."""
    return _take(context, request.invoke_id_and_priority, request.block)


def _take(context: ServiceContext, invoke: int, block: DataBlock) -> SetResponse:
    incoming = context.values
    if incoming is None:
        code = DataAccessResult.NO_LONG_SET_IN_PROGRESS
        return apdu.SetResponseLastBlock(invoke, code, block.number)
    taken = incoming.add(block)
    if taken and not block.last:
        return apdu.SetResponseBlock(invoke, block.number)
    context.values = None
    return incoming.finish(invoke, block.number, taken)


def _finish(
    context: ServiceContext,
    attribute: SelectedAttribute,
    invoke: int,
    number: int,
    octets: bytes | None,
) -> SetResponse:
    result = int(DataAccessResult.DATA_BLOCK_NUMBER_INVALID)
    if octets is not None:
        result = int(DataAccessResult.TYPE_UNMATCHED)
        if parses(octets):
            result = context.write(*attribute, octets)
    return apdu.SetResponseLastBlock(invoke, result, number)


def _finish_list(
    context: ServiceContext,
    attributes: Attributes,
    invoke: int,
    number: int,
    octets: bytes | None,
) -> SetResponse:
    values = None if octets is None else read_values(octets)
    if values is not None:
        results = context.write_all(attributes, values)
    else:
        broken = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
        code = broken if octets is None else DataAccessResult.TYPE_UNMATCHED
        results = (int(code),) * len(attributes)
    return apdu.SetResponseLastBlockWithList(invoke, results, number)
