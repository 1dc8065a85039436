"""GET, SET and ACTION from the client's side, with block transfer (IEC 62056-5-3, 6.6-6.8).

What does not fit the meter's largest APDU leaves in blocks, each acknowledged by its number; what
comes in blocks is gathered until the last. A block out of turn ends the transfer: better no value
than one with a hole in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hesper_dlms import apdu
from hesper_dlms.apdu import (
    AccessSelection,
    ActionResult,
    CosemAttribute,
    CosemMethod,
    DataBlock,
    Result,
)
from hesper_dlms.association import FIRST_BLOCK_OVERHEAD, MAX_VALUE
from hesper_dlms.client.channel import Channel
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.exchange import Exchange

_CONFIRMED_HIGH_PRIORITY = 0xC0
_INVOKE_IDS = 16

Request = apdu.GetRequest | apdu.SetRequest | apdu.ActionRequest
Answer = apdu.GetResponse | apdu.SetResponse | apdu.ActionResponse


def read(
    channel: Channel, attribute: CosemAttribute, selection: AccessSelection | None
) -> Exchange[Result]:
    """Return the octets of an attribute, or the data-access-result that refuses it."""
    invoke = _next_invoke(channel)
    answer = yield from _ask(channel, apdu.GetRequestNormal(invoke, attribute, selection))
    if isinstance(answer, apdu.GetResponseNormal):
        return answer.result
    return (yield from _gather_get(channel, answer))


def read_list(channel: Channel, attributes: Sequence[CosemAttribute]) -> Exchange[list[Result]]:
    """Return what `read` does for several attributes, asked for in one request."""
    request = apdu.GetRequestWithList(
        _next_invoke(channel), tuple((attribute, None) for attribute in attributes)
    )
    answer = yield from _ask(channel, request)
    if isinstance(answer, apdu.GetResponseWithList):
        results: Sequence[Result] = answer.results
    elif isinstance(answer, apdu.GetResponseNormal) and isinstance(answer.result, int):
        results = [answer.result] * len(attributes)
    else:
        gathered = yield from _gather_get(channel, answer)
        if isinstance(gathered, int):
            results = [gathered] * len(attributes)
        else:
            results = apdu.read_results(gathered)
    if len(results) != len(attributes):
        raise DecodeError(f"{len(attributes)} attributes asked for, {len(results)} answered")
    return list(results)


def write(channel: Channel, attribute: CosemAttribute, octets: bytes) -> Exchange[int]:
    """Write an attribute's octets; return the data-access-result."""
    invoke = _next_invoke(channel)
    request: Request = apdu.SetRequestNormal(invoke, attribute, octets)
    if len(request.to_octets()) <= channel.limit:
        answer = yield from _ask(channel, request)
    else:
        first, *others = _blocks(channel, octets)
        answer = yield from _ask(channel, apdu.SetRequestFirstBlock(invoke, attribute, first))
        for block in others:
            if not isinstance(answer, apdu.SetResponseBlock):
                break
            _check_number(answer.block_number, block.number - 1)
            answer = yield from _ask(channel, apdu.SetRequestBlock(invoke, block))
    if isinstance(answer, apdu.SetResponseNormal | apdu.SetResponseLastBlock):
        return answer.result
    raise _unexpected(answer)


def invoke(channel: Channel, method: CosemMethod, octets: bytes | None) -> Exchange[bytes | None]:
    """Invoke a method; return the octets that it returns, None when nothing.

    Raises:
        ServiceError: The action-result, or the data-access-result of the return value.
    """
    number = _next_invoke(channel)
    request: Request = apdu.ActionRequestNormal(number, method, octets)
    if octets is None or len(request.to_octets()) <= channel.limit:
        answer = yield from _ask(channel, request)
    else:
        first, *others = _blocks(channel, octets)
        answer = yield from _ask(channel, apdu.ActionRequestFirstBlock(number, method, first))
        for block in others:
            if not isinstance(answer, apdu.ActionResponseNextBlock):
                break
            _check_number(answer.block_number, block.number - 1)
            answer = yield from _ask(channel, apdu.ActionRequestBlock(number, block))
    if isinstance(answer, apdu.ActionResponseBlock):
        return (yield from _gather_action(channel, answer))
    if not isinstance(answer, apdu.ActionResponseNormal):
        raise _unexpected(answer)
    if answer.result != ActionResult.SUCCESS:
        raise apdu.action_error(answer.result)
    if isinstance(answer.returned, int):
        raise apdu.access_error(answer.returned)
    return answer.returned


def _next_invoke(channel: Channel) -> int:
    channel.invoke_id = (channel.invoke_id + 1) % _INVOKE_IDS
    return _CONFIRMED_HIGH_PRIORITY | channel.invoke_id


def _ask(channel: Channel, request: Request) -> Exchange[Answer]:
    """Return the answer that has the request's invoke-id, passing over late ones."""
    answer = yield from channel.ask(request.to_octets())
    while True:
        if not isinstance(answer, Answer):
            raise _unexpected(answer)
        difference = answer.invoke_id_and_priority ^ request.invoke_id_and_priority
        if difference % _INVOKE_IDS == 0:
            return answer
        answer = yield from channel.wait()


def _gather_get(channel: Channel, answer: Answer) -> Exchange[Result]:
    whole = bytearray()
    expected = 1
    while True:
        if isinstance(answer, apdu.GetResponseNormal) and isinstance(answer.result, int):
            return answer.result
        if not isinstance(answer, apdu.GetResponseWithBlock):
            raise _unexpected(answer)
        if answer.error is not None:
            return answer.error
        _add(whole, answer.block, expected)
        if answer.block.last:
            return bytes(whole)
        request = apdu.GetRequestNext(answer.invoke_id_and_priority, expected)
        answer = yield from _ask(channel, request)
        expected += 1


def _gather_action(channel: Channel, answer: Answer) -> Exchange[bytes]:
    whole = bytearray()
    expected = 1
    while True:
        if isinstance(answer, apdu.ActionResponseNormal):
            raise apdu.action_error(answer.result)
        if not isinstance(answer, apdu.ActionResponseBlock):
            raise _unexpected(answer)
        _add(whole, answer.block, expected)
        if answer.block.last:
            return bytes(whole)
        request = apdu.ActionRequestNextBlock(answer.invoke_id_and_priority, expected)
        answer = yield from _ask(channel, request)
        expected += 1


def _add(whole: bytearray, block: DataBlock, expected: int) -> None:
    _check_number(block.number, expected)
    whole += block.octets
    if len(whole) > MAX_VALUE or not (block.octets or block.last):
        raise DecodeError("a value in blocks grows too large, or not at all")


def _check_number(number: int, expected: int) -> None:
    if number != expected:
        raise DecodeError(f"block {number} came where {expected} was due")


def _blocks(channel: Channel, octets: bytes) -> list[DataBlock]:
    size = channel.limit - FIRST_BLOCK_OVERHEAD
    if size < 1:
        raise LocalError(f"the meter takes APDUs of {channel.limit} octets: too few for blocks")
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    return [
        DataBlock(number == len(parts), number, part) for number, part in enumerate(parts, start=1)
    ]


def _unexpected(answer: object) -> DecodeError:
    return DecodeError(f"the meter answered with {type(answer).__name__}, which does not fit")
