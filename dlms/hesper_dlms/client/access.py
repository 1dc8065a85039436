"""ACCESS from the client's side (IEC 62056-5-3, 6.9): reads, writes and calls in one request.

Where the meter did not grant ACCESS the same list goes one by one, in the same order. Where it did
but no general block transfer, and the list is too long for one APDU, it goes in several requests;
what is too long alone goes as GET, SET or ACTION, which have blocks of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    AccessKind,
    AccessRequestSpecification,
    AccessSelection,
    Conformance,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    Selector,
)
from hesper_dlms.apdu.access import (
    BREAK_ON_ERROR,
    CONFIRMED,
    HIGH_PRIORITY,
    LONG_INVOKE_IDS,
    NULL_DATA,
    SELF_DESCRIPTIVE,
)
from hesper_dlms.axdr import Data
from hesper_dlms.client import action, get, set  # noqa: A004 - the service's name
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.lists import batches
from hesper_dlms.client.transfer import check_count, unexpected
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.exchange import Exchange

_ALONE_HEAD = 8
_LIST_HEAD = 12
_RESULT = 2
_MOST = 1 << 16


class AccessGet(NamedTuple):
    """Reads an attribute, or what a selector takes of it."""

    attribute: CosemAttribute
    selector: Selector | AccessSelection | None = None


class AccessSet(NamedTuple):
    """Writes an attribute, or what a selector takes of it."""

    attribute: CosemAttribute
    data: Data
    selector: Selector | AccessSelection | None = None


class AccessAction(NamedTuple):
    """Invokes a method."""

    method: CosemMethod
    data: Data | None = None


AccessSpecification = AccessGet | AccessSet | AccessAction
AccessValue = Data | None | ServiceError
"""What was read or returned, None for nothing, or why there is none."""


def access(
    channel: Channel,
    specifications: Sequence[AccessSpecification],
    *,
    break_on_error: bool,
    self_descriptive: bool,
) -> Exchange[list[AccessValue]]:
    """Carry a list out in order; return one value for each.

    Raises:
        DecodeError: The response does not fit the request.
        ServiceError: The meter refused the list as a whole.
    """
    options = CONFIRMED | HIGH_PRIORITY
    options |= BREAK_ON_ERROR if break_on_error else 0
    options |= SELF_DESCRIPTIVE if self_descriptive else 0
    granted = bool(channel.granted & Conformance.ACCESS)
    values: list[AccessValue] = []
    for some in _parts(channel, specifications, granted):
        if break_on_error and any(isinstance(each, ServiceError) for each in values):
            left_out = apdu.access_error(DataAccessResult.OTHER_REASON)
            values += [left_out] * len(some)
        elif granted and _fits(channel, some):
            values += yield from _ask(channel, some, options)
        else:
            values.append((yield from _ask_alone(channel, some[0])))
    return values


def _parts(
    channel: Channel, specifications: Sequence[AccessSpecification], granted: bool
) -> Iterator[Sequence[AccessSpecification]]:
    if granted and channel.granted & Conformance.GENERAL_BLOCK_TRANSFER:
        if specifications:
            yield specifications
        return
    sizes = [_size(each) for each in specifications]
    most = _MOST if granted else 1
    for part in batches(sizes, _room(channel), most):
        yield specifications[part]


def _fits(channel: Channel, some: Sequence[AccessSpecification]) -> bool:
    if channel.granted & Conformance.GENERAL_BLOCK_TRANSFER:
        return True
    return sum(map(_size, some)) <= _room(channel)


def _room(channel: Channel) -> int:
    """Return how many octets the list of one request may take, and that of its response."""
    return min(channel.limit, channel.own_limit) - _LIST_HEAD


def _size(specification: AccessSpecification) -> int:
    """Return the octets of a specification, its datum and its result."""
    alone = apdu.AccessRequest(0, (_told(specification),), (_data(specification),))
    return len(alone.to_octets()) - _ALONE_HEAD + _RESULT


def _ask(
    channel: Channel, specifications: Sequence[AccessSpecification], options: int
) -> Exchange[list[AccessValue]]:
    channel.long_invoke_id = (channel.long_invoke_id + 1) % LONG_INVOKE_IDS
    request = apdu.AccessRequest(
        options | channel.long_invoke_id,
        tuple(map(_told, specifications)),
        tuple(map(_data, specifications)),
    )
    answer = yield from channel.ask(request.to_octets())
    while True:
        if not isinstance(answer, apdu.AccessResponse):
            raise unexpected(answer)
        if answer.long_invoke_id_and_priority % LONG_INVOKE_IDS == channel.long_invoke_id:
            return _values(request, answer)
        answer = yield from channel.wait()


def _values(request: apdu.AccessRequest, answer: apdu.AccessResponse) -> list[AccessValue]:
    told = request.specifications
    if answer.specifications not in (None, told):
        raise DecodeError("the access-response repeats another request")
    check_count(len(told), len(answer.data))
    check_count(len(told), len(answer.results))
    if any(
        apdu.kind_of(each) != done.kind for each, done in zip(told, answer.results, strict=True)
    ):
        raise DecodeError("the access-response tells of other services than were asked for")
    return [_value(*each) for each in zip(answer.results, answer.data, strict=True)]


def _value(done: apdu.AccessResult, octets: bytes) -> AccessValue:
    if done.result != DataAccessResult.SUCCESS:
        refused = apdu.action_error if done.kind is AccessKind.ACTION else apdu.access_error
        return refused(done.result)
    if done.kind is AccessKind.SET or (done.kind is AccessKind.ACTION and octets == NULL_DATA):
        return None
    return axdr.decode(octets)


def _ask_alone(channel: Channel, specification: AccessSpecification) -> Exchange[AccessValue]:
    if isinstance(specification, AccessAction):
        try:
            octets = yield from action.invoke(
                channel, specification.method, _encoded(specification.data)
            )
        except ServiceError as error:
            if error.kind == "exception-response":
                raise
            return error
        return None if octets is None else axdr.decode(octets)
    selection = _selection(specification.selector)
    if isinstance(specification, AccessGet):
        result = yield from get.read(channel, specification.attribute, selection)
        return apdu.access_error(result) if isinstance(result, int) else axdr.decode(result)
    octets = axdr.encode(specification.data)
    code = yield from set.write(channel, specification.attribute, octets, selection)
    return None if code == DataAccessResult.SUCCESS else apdu.access_error(code)


def _told(specification: AccessSpecification) -> AccessRequestSpecification:
    if isinstance(specification, AccessAction):
        return apdu.AccessRequestAction(specification.method)
    selection = _selection(specification.selector)
    if isinstance(specification, AccessGet):
        return apdu.AccessRequestGet(specification.attribute, selection)
    return apdu.AccessRequestSet(specification.attribute, selection)


def _data(specification: AccessSpecification) -> bytes:
    if isinstance(specification, AccessGet):
        return NULL_DATA
    return _encoded(specification.data) or NULL_DATA


def _encoded(data: Data | None) -> bytes | None:
    return None if data is None else axdr.encode(data)


def _selection(selector: Selector | AccessSelection | None) -> AccessSelection | None:
    if selector is None or isinstance(selector, AccessSelection):
        return selector
    return selector.to_selection()
