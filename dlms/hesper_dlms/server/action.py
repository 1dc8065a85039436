"""ACTION on the meter's side (IEC 62056-5-3, 6.8): one method or a list, whole or in blocks.

A long return value leaves as blocks of its bare A-XDR octets; the results of a list leave as blocks
of the list that a short response would carry.
"""

from __future__ import annotations

from functools import partial

from hesper_dlms import apdu
from hesper_dlms.apdu import (
    ActionOutcome,
    ActionResponse,
    ActionResult,
    Conformance,
    CosemMethod,
    DataAccessResult,
    DataBlock,
)
from hesper_dlms.server.context import Methods, ServiceContext, parses, read_values
from hesper_dlms.server.transfer import Incoming, Service

_BLOCKS = Conformance.BLOCK_TRANSFER_WITH_ACTION
_NORMAL_HEAD = 6
_LIST_HEAD = 3


def normal(context: ServiceContext, request: apdu.ActionRequestNormal) -> ActionResponse:
    """Carry a method out."""
    outcome = context.invoke(request.method, request.parameters)
    return _answer(context, request.invoke_id_and_priority, outcome)


def with_list(context: ServiceContext, request: apdu.ActionRequestWithList) -> ActionResponse:
    """Carry several methods out in order; each outcome stands for itself."""
    outcomes = context.invoke_all(request.methods, request.parameters)
    return _answer_list(context, request.invoke_id_and_priority, outcomes)


def first_block(context: ServiceContext, request: apdu.ActionRequestFirstBlock) -> ActionResponse:
    """Begin to take long parameters in."""
    context.parameters = Incoming(partial(_finish, context, request.method))
    return _take(context, request.invoke_id_and_priority, request.block)


def list_first_block(
    context: ServiceContext, request: apdu.ActionRequestWithListFirstBlock
) -> ActionResponse:
    """Begin to take the parameters of a list of methods in."""
    context.parameters = Incoming(partial(_finish_list, context, request.methods))
    return _take(context, request.invoke_id_and_priority, request.block)


def block(context: ServiceContext, request: apdu.ActionRequestBlock) -> ActionResponse:
    """Take the next block in."""
    return _take(context, request.invoke_id_and_priority, request.block)


def following(context: ServiceContext, request: apdu.ActionRequestNextBlock) -> ActionResponse:
    """Send the next block of what was returned."""
    invoke = request.invoke_id_and_priority
    known = context.outgoing is not None and context.outgoing.service is Service.ACTION
    block = context.next_block(Service.ACTION, request.block_number)
    if block is not None:
        return apdu.ActionResponseBlock(invoke, block)
    aborted = ActionResult.LONG_ACTION_ABORTED
    error = aborted if known else ActionResult.NO_LONG_ACTION_IN_PROGRESS
    return apdu.ActionResponseNormal(invoke, error)


def _take(context: ServiceContext, invoke: int, block: DataBlock) -> ActionResponse:
    incoming = context.parameters
    if incoming is None:
        return apdu.ActionResponseNormal(invoke, ActionResult.NO_LONG_ACTION_IN_PROGRESS)
    taken = incoming.add(block)
    if taken and not block.last:
        return apdu.ActionResponseNextBlock(invoke, block.number)
    context.parameters = None
    return incoming.finish(invoke, block.number, taken)


def _finish(
    context: ServiceContext, method: CosemMethod, invoke: int, number: int, octets: bytes | None
) -> ActionResponse:
    del number
    if octets is None:
        return apdu.ActionResponseNormal(invoke, ActionResult.LONG_ACTION_ABORTED)
    if not parses(octets):
        return apdu.ActionResponseNormal(invoke, ActionResult.TYPE_UNMATCHED)
    return _answer(context, invoke, context.invoke(method, octets))


def _finish_list(
    context: ServiceContext, methods: Methods, invoke: int, number: int, octets: bytes | None
) -> ActionResponse:
    del number
    if octets is None:
        return apdu.ActionResponseNormal(invoke, ActionResult.LONG_ACTION_ABORTED)
    parameters = read_values(octets)
    if parameters is None:
        return apdu.ActionResponseNormal(invoke, ActionResult.TYPE_UNMATCHED)
    return _answer_list(context, invoke, context.invoke_all(methods, parameters))


def _answer(context: ServiceContext, invoke: int, outcome: ActionOutcome) -> ActionResponse:
    returned = outcome.returned
    if not isinstance(returned, bytes) or context.fits(len(returned) + _NORMAL_HEAD, _BLOCKS):
        return apdu.ActionResponseNormal(invoke, *outcome)
    if not context.conformance & _BLOCKS:
        return apdu.ActionResponseNormal(invoke, *_without_value(outcome))
    context.send_in_blocks(Service.ACTION, returned)
    return following(context, apdu.ActionRequestNextBlock(invoke, 0))


def _answer_list(
    context: ServiceContext, invoke: int, outcomes: tuple[ActionOutcome, ...]
) -> ActionResponse:
    octets = apdu.write_outcomes(outcomes)
    if context.fits(len(octets) + _LIST_HEAD, _BLOCKS):
        return apdu.ActionResponseWithList(invoke, outcomes)
    if not context.conformance & _BLOCKS:
        return apdu.ActionResponseWithList(invoke, tuple(map(_without_value, outcomes)))
    context.send_in_blocks(Service.ACTION, octets)
    return following(context, apdu.ActionRequestNextBlock(invoke, 0))


def _without_value(outcome: ActionOutcome) -> ActionOutcome:
    """Return an outcome whose value cannot be sent: the method was carried out all the same."""
    if not isinstance(outcome.returned, bytes):
        return outcome
    return ActionOutcome(outcome.result, int(DataAccessResult.OTHER_REASON))
