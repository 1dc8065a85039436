"""What GET, SET and ACTION share on the client's side (IEC 62056-5-3, 6.6-6.8): asking and blocks.

What does not fit the meter's largest APDU leaves in blocks of its own service where the meter
granted them, each acknowledged by its number; else whole, in general blocks, where those were
granted. What comes in blocks is gathered until the last. A block out of turn ends the transfer:
better no value than one with a hole in it. Answers are matched by their invoke-id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hesper_dlms import apdu
from hesper_dlms.apdu import Conformance, DataBlock
from hesper_dlms.association import MAX_VALUE
from hesper_dlms.client.channel import Channel
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.exchange import Exchange

_CONFIRMED_HIGH_PRIORITY = 0xC0
_INVOKE_IDS = 16
_LONGER_LENGTH = 2
"""What a block's length field may grow by over that of an empty block."""

Request = apdu.GetRequest | apdu.SetRequest | apdu.ActionRequest
Answer = apdu.GetResponse | apdu.SetResponse | apdu.ActionResponse
Upload = apdu.SetRequest | apdu.ActionRequest


def next_invoke(channel: Channel) -> int:
    """Return a fresh invoke-id-and-priority: confirmed, high priority."""
    channel.invoke_id = (channel.invoke_id + 1) % _INVOKE_IDS
    return _CONFIRMED_HIGH_PRIORITY | channel.invoke_id


def ask(channel: Channel, request: Request) -> Exchange[Answer]:
    """Return the answer that has the request's invoke-id, passing over late ones."""
    answer = yield from channel.ask(request.to_octets())
    while True:
        if not isinstance(answer, Answer):
            raise unexpected(answer)
        difference = answer.invoke_id_and_priority ^ request.invoke_id_and_priority
        if difference % _INVOKE_IDS == 0:
            return answer
        answer = yield from channel.wait()


def send(
    channel: Channel,
    whole: Upload,
    octets: bytes,
    first: Callable[[DataBlock], Upload],
    following: Callable[[DataBlock], Upload],
) -> Exchange[Answer]:
    """Send a request that may be too long for one APDU; return what answers it in the end.

    Args:
        channel: The way to the meter.
        whole: The request in one APDU.
        octets: What its blocks carry instead.
        first: Makes the first of several requests from the first block.
        following: Makes the others.

    Raises:
        LocalError: It is too long, and the meter granted no blocks.
        DecodeError: The meter tells of success before it has the last block.
    """
    if channel.takes(len(whole.to_octets()), _own_blocks(whole)):
        return (yield from ask(channel, whole))
    room = [_room(channel.limit, make) for make in (first, following)]
    if min(room) < 1:
        if channel.granted & Conformance.GENERAL_BLOCK_TRANSFER:
            return (yield from ask(channel, whole))
        raise LocalError(f"the meter takes APDUs of {channel.limit} octets: too few for blocks")
    answer: Answer | None = None
    for block in _blocks(octets, *room):
        if answer is not None:
            if not isinstance(answer, apdu.SetResponseBlock | apdu.ActionResponseNextBlock):
                if apdu.DataAccessResult.SUCCESS in _codes(answer):
                    raise unexpected(answer)  # before it had everything
                break  # refused on the way
            check_number(answer.block_number, block.number - 1)
        answer = yield from ask(channel, (first if block.number == 1 else following)(block))
    if answer is None:
        raise LocalError("there is nothing to send in blocks")
    return answer


def _codes(answer: Answer) -> Sequence[int]:
    """Return the results that an answer to a request tells; success for an answer of none."""
    match answer:
        case apdu.SetResponseNormal() | apdu.SetResponseLastBlock() | apdu.ActionResponseNormal():
            return (answer.result,)
        case apdu.SetResponseWithList() | apdu.SetResponseLastBlockWithList():
            return answer.results
        case apdu.ActionResponseWithList():
            return [outcome.result for outcome in answer.outcomes]
        case _:
            return (apdu.DataAccessResult.SUCCESS,)


def add_block(whole: bytearray, block: DataBlock, expected: int) -> None:
    """Add a block's octets to those before it; DecodeError when it is not the next one."""
    check_number(block.number, expected)
    whole += block.octets
    if len(whole) > MAX_VALUE or not (block.octets or block.last):
        raise DecodeError("a value in blocks grows too large, or not at all")


def check_number(number: int, expected: int) -> None:
    """Raise DecodeError unless a block's number is the one that is due."""
    if number != expected:
        raise DecodeError(f"block {number} came where {expected} was due")


def unexpected(answer: object) -> DecodeError:
    """Return the error of an answer that does not fit its request."""
    return DecodeError(f"the meter answered with {type(answer).__name__}, which does not fit")


def check_count(asked: int, answered: int) -> None:
    """Raise DecodeError unless a list was answered with as many results as it has items."""
    if asked != answered:
        raise DecodeError(f"{asked} were asked for, {answered} answered")


def _own_blocks(request: Upload) -> Conformance:
    if isinstance(request, apdu.SetRequest):
        return Conformance.BLOCK_TRANSFER_WITH_SET
    return Conformance.BLOCK_TRANSFER_WITH_ACTION


def _room(limit: int, make: Callable[[DataBlock], Upload]) -> int:
    """Return how many octets a block may have in a request of at most `limit` octets."""
    return limit - len(make(DataBlock(False, 1, b"")).to_octets()) - _LONGER_LENGTH


def _blocks(octets: bytes, first: int, following: int) -> list[DataBlock]:
    """Return the blocks of a value, of at most `first` and then `following` octets."""
    parts = [octets[:first]]
    parts += [octets[at : at + following] for at in range(first, len(octets), following)]
    last = len(parts)
    return [DataBlock(number == last, number, part) for number, part in enumerate(parts, start=1)]
