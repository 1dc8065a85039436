"""ACTION from the client's side (IEC 62056-5-3, 6.8): one method, or a list, in blocks or whole."""

from __future__ import annotations

from collections.abc import Sequence

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import ActionOutcome, ActionResult, CosemMethod
from hesper_dlms.apdu.access import NULL_DATA
from hesper_dlms.apdu.writer import write_values
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.transfer import (
    Answer,
    add_block,
    ask,
    check_count,
    next_invoke,
    send,
    unexpected,
)
from hesper_dlms.errors import DecodeError
from hesper_dlms.exchange import Exchange

_RETURN_PARAMETERS = (b"\x00\x01\x00", b"\x01\x00")
"""What some meters leave in front of a return value in blocks: result, presence, choice."""


def invoke(channel: Channel, method: CosemMethod, octets: bytes | None) -> Exchange[bytes | None]:
    """Invoke a method; return the octets that it returns, None when nothing.

    Raises:
        ServiceError: The action-result, or the data-access-result of the return value.
    """
    number = next_invoke(channel)
    answer = yield from send(
        channel,
        apdu.ActionRequestNormal(number, method, octets),
        octets or b"",
        lambda block: apdu.ActionRequestFirstBlock(number, method, block),
        lambda block: apdu.ActionRequestBlock(number, block),
    )
    if isinstance(answer, apdu.ActionResponseBlock):
        return _bare((yield from _gather(channel, answer)))
    if not isinstance(answer, apdu.ActionResponseNormal):
        raise unexpected(answer)
    return returned(ActionOutcome(answer.result, answer.returned))


def invoke_list(
    channel: Channel, methods: Sequence[CosemMethod], parameters: Sequence[bytes | None]
) -> Exchange[Sequence[ActionOutcome]]:
    """Invoke several methods in one request; return the outcome of each."""
    number, names = next_invoke(channel), tuple(methods)
    values = tuple(NULL_DATA if octets is None else octets for octets in parameters)
    answer = yield from send(
        channel,
        apdu.ActionRequestWithList(number, names, values),
        write_values(values),
        lambda block: apdu.ActionRequestWithListFirstBlock(number, names, block),
        lambda block: apdu.ActionRequestBlock(number, block),
    )
    if isinstance(answer, apdu.ActionResponseNormal) and answer.result != ActionResult.SUCCESS:
        return [ActionOutcome(answer.result)] * len(names)
    if isinstance(answer, apdu.ActionResponseBlock):
        outcomes = apdu.read_outcomes((yield from _gather(channel, answer)))
    elif isinstance(answer, apdu.ActionResponseWithList):
        outcomes = answer.outcomes
    else:
        raise unexpected(answer)
    check_count(len(names), len(outcomes))
    return outcomes


def returned(outcome: ActionOutcome) -> bytes | None:
    """Return the octets that a method returned, None when nothing; ServiceError when it failed."""
    if outcome.result != ActionResult.SUCCESS:
        raise apdu.action_error(outcome.result)
    if isinstance(outcome.returned, int):
        raise apdu.access_error(outcome.returned)
    return outcome.returned


def _gather(channel: Channel, answer: Answer) -> Exchange[bytes]:
    whole = bytearray()
    expected = 1
    while True:
        if isinstance(answer, apdu.ActionResponseNormal):
            raise apdu.action_error(answer.result)
        if not isinstance(answer, apdu.ActionResponseBlock):
            raise unexpected(answer)
        add_block(whole, answer.block, expected)
        if answer.block.last:
            return bytes(whole)
        request = apdu.ActionRequestNextBlock(answer.invoke_id_and_priority, expected)
        answer = yield from ask(channel, request)
        expected += 1


def _bare(octets: bytes) -> bytes:
    """Return the return value alone, where a meter put its result in front of it."""
    for head in _RETURN_PARAMETERS:
        if octets.startswith(head) and not _parses(octets) and _parses(octets[len(head) :]):
            return octets[len(head) :]
    return octets


def _parses(octets: bytes) -> bool:
    try:
        axdr.decode(octets)
    except DecodeError:
        return False
    return True
