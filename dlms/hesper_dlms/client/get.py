"""GET from the client's side (IEC 62056-5-3, 6.6): one attribute, or a list, in blocks or whole."""

from __future__ import annotations

from collections.abc import Sequence

from hesper_dlms import apdu
from hesper_dlms.apdu import AccessSelection, CosemAttribute, Result, SelectedAttribute
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.transfer import (
    Answer,
    add_block,
    ask,
    check_count,
    next_invoke,
    unexpected,
)
from hesper_dlms.exchange import Exchange


def read(
    channel: Channel, attribute: CosemAttribute, selection: AccessSelection | None
) -> Exchange[Result]:
    """Return the octets of an attribute, or the data-access-result that refuses it."""
    request = apdu.GetRequestNormal(next_invoke(channel), attribute, selection)
    answer = yield from ask(channel, request)
    if isinstance(answer, apdu.GetResponseNormal):
        return answer.result
    return (yield from _gather(channel, answer))


def read_list(
    channel: Channel, attributes: Sequence[SelectedAttribute]
) -> Exchange[Sequence[Result]]:
    """Return what `read` does for several attributes, asked for in one request."""
    request = apdu.GetRequestWithList(next_invoke(channel), tuple(attributes))
    answer = yield from ask(channel, request)
    if isinstance(answer, apdu.GetResponseWithList):
        results: Sequence[Result] = answer.results
    else:
        gathered = yield from _gather(channel, answer)
        if isinstance(gathered, int):
            return [gathered] * len(attributes)
        results = apdu.read_results(gathered)
    check_count(len(attributes), len(results))
    return results


def _gather(channel: Channel, answer: Answer) -> Exchange[Result]:
    whole = bytearray()
    expected = 1
    while True:
        if isinstance(answer, apdu.GetResponseNormal) and isinstance(answer.result, int):
            return answer.result
        if not isinstance(answer, apdu.GetResponseWithBlock):
            raise unexpected(answer)
        if answer.error is not None:
            return answer.error
        add_block(whole, answer.block, expected)
        if answer.block.last:
            return bytes(whole)
        request = apdu.GetRequestNext(answer.invoke_id_and_priority, expected)
        answer = yield from ask(channel, request)
        expected += 1
