"""GET on the meter's side (IEC 62056-5-3, 6.6): one attribute, a list, the next block."""

from __future__ import annotations

from hesper_dlms import apdu
from hesper_dlms.apdu import Conformance, DataAccessResult, DataBlock, GetResponse
from hesper_dlms.server.context import ServiceContext
from hesper_dlms.server.transfer import Service

_BLOCKS = Conformance.BLOCK_TRANSFER_WITH_GET
_NORMAL_HEAD = 4
_LIST_HEAD = 3


def normal(context: ServiceContext, request: apdu.GetRequestNormal) -> GetResponse:
    """Read one attribute."""
    invoke = request.invoke_id_and_priority
    result = context.read(request.attribute, request.selection)
    if isinstance(result, int) or context.fits(len(result) + _NORMAL_HEAD, _BLOCKS):
        return apdu.GetResponseNormal(invoke, result)
    if not context.conformance & _BLOCKS:
        return apdu.GetResponseNormal(invoke, DataAccessResult.OTHER_REASON)
    context.send_in_blocks(Service.GET, result)
    return following(context, apdu.GetRequestNext(invoke, 0))


def with_list(context: ServiceContext, request: apdu.GetRequestWithList) -> GetResponse:
    """Read several attributes; each result stands for itself."""
    invoke = request.invoke_id_and_priority
    results = context.read_all(request.attributes)
    octets = apdu.write_results(results)
    if context.fits(len(octets) + _LIST_HEAD, _BLOCKS):
        return apdu.GetResponseWithList(invoke, results)
    if not context.conformance & _BLOCKS:
        codes = (int(DataAccessResult.OTHER_REASON),) * len(results)
        return apdu.GetResponseWithList(invoke, codes)
    context.send_in_blocks(Service.GET, octets)
    return following(context, apdu.GetRequestNext(invoke, 0))


def following(context: ServiceContext, request: apdu.GetRequestNext) -> GetResponse:
    """Send the next block of a long value."""
    invoke, number = request.invoke_id_and_priority, request.block_number
    known = context.outgoing is not None and context.outgoing.service is Service.GET
    block = context.next_block(Service.GET, number)
    if block is not None:
        return apdu.GetResponseWithBlock(invoke, block)
    invalid = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
    error = invalid if known else DataAccessResult.NO_LONG_GET_IN_PROGRESS
    return apdu.GetResponseWithBlock(invoke, DataBlock(True, number, b""), error)
