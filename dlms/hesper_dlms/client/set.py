"""SET from the client's side (IEC 62056-5-3, 6.7): one attribute, or a list, in blocks or whole."""

from __future__ import annotations

from collections.abc import Sequence

from hesper_dlms import apdu
from hesper_dlms.apdu import AccessSelection, CosemAttribute, SelectedAttribute
from hesper_dlms.apdu.writer import write_values
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.transfer import check_count, next_invoke, send, unexpected
from hesper_dlms.exchange import Exchange


def write(
    channel: Channel,
    attribute: CosemAttribute,
    octets: bytes,
    selection: AccessSelection | None = None,
) -> Exchange[int]:
    """Write an attribute's octets, or what a selection takes of it; return the result code."""
    invoke = next_invoke(channel)
    answer = yield from send(
        channel,
        apdu.SetRequestNormal(invoke, attribute, octets, selection),
        octets,
        lambda block: apdu.SetRequestFirstBlock(invoke, attribute, block, selection),
        lambda block: apdu.SetRequestBlock(invoke, block),
    )
    if isinstance(answer, apdu.SetResponseNormal | apdu.SetResponseLastBlock):
        return answer.result
    raise unexpected(answer)


def write_list(
    channel: Channel, attributes: Sequence[SelectedAttribute], values: Sequence[bytes]
) -> Exchange[Sequence[int]]:
    """Write several attributes in one request; return the result code of each."""
    invoke, names = next_invoke(channel), tuple(attributes)
    answer = yield from send(
        channel,
        apdu.SetRequestWithList(invoke, names, tuple(values)),
        write_values(values),
        lambda block: apdu.SetRequestWithListFirstBlock(invoke, names, block),
        lambda block: apdu.SetRequestBlock(invoke, block),
    )
    if isinstance(answer, apdu.SetResponseWithList | apdu.SetResponseLastBlockWithList):
        check_count(len(names), len(answer.results))
        return answer.results
    if not isinstance(answer, apdu.SetResponseNormal | apdu.SetResponseLastBlock):
        raise unexpected(answer)
    if answer.result == apdu.DataAccessResult.SUCCESS:
        raise unexpected(answer)  # one success does not say which
    return [answer.result] * len(names)
