"""ACCESS on the meter's side (IEC 62056-5-3, 6.9): a list of reads, writes and calls, in order.

With the break-on-error option nothing behind the first failure is carried out; what was left out
says other-reason.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu import (
    AccessKind,
    AccessRequest,
    AccessRequestAction,
    AccessRequestGet,
    AccessRequestSpecification,
    AccessResponse,
    AccessResult,
    ActionOutcome,
    Conformance,
    DataAccessResult,
    kind_of,
)
from hesper_dlms.apdu.access import BREAK_ON_ERROR, NULL_DATA, SELF_DESCRIPTIVE
from hesper_dlms.association import MAX_VALUE
from hesper_dlms.server.context import ServiceContext

_OTHER = int(DataAccessResult.OTHER_REASON)


class _Done(NamedTuple):
    """One access: its code and its datum."""

    code: int
    data: bytes = NULL_DATA


def answer(context: ServiceContext, request: AccessRequest) -> AccessResponse | None:
    """Carry a list out; None where the response cannot leave, with or without its data."""
    number = request.long_invoke_id_and_priority
    done: list[_Done] = []
    failed, size = False, 0
    for specification, data in zip(request.specifications, request.data, strict=True):
        skipped = (failed and number & BREAK_ON_ERROR) or size > MAX_VALUE
        done.append(_Done(_OTHER) if skipped else _carry_out(context, specification, data))
        failed = failed or done[-1].code != 0
        size += len(done[-1].data)
    told = request.specifications if number & SELF_DESCRIPTIVE else None
    kinds = [kind_of(each) for each in request.specifications]
    response = _response(number, told, kinds, done)
    if context.fits(len(response.to_octets()), Conformance(0)):
        return response
    without = [_without_data(kind, each) for kind, each in zip(kinds, done, strict=True)]
    response = _response(number, told, kinds, without)
    return response if context.fits(len(response.to_octets()), Conformance(0)) else None


def _carry_out(
    context: ServiceContext, specification: AccessRequestSpecification, data: bytes
) -> _Done:
    if isinstance(specification, AccessRequestAction):
        outcome = context.invoke(specification.method, None if data == NULL_DATA else data)
        return _Done(outcome.result, _returned(outcome))
    attribute, selection = specification.attribute, specification.selection
    if isinstance(specification, AccessRequestGet):
        result = context.read(attribute, selection)
        return _Done(result) if isinstance(result, int) else _Done(0, result)
    return _Done(context.write(attribute, selection, data))


def _returned(outcome: ActionOutcome) -> bytes:
    return outcome.returned if isinstance(outcome.returned, bytes) else NULL_DATA


def _response(
    number: int,
    told: tuple[AccessRequestSpecification, ...] | None,
    kinds: list[AccessKind],
    done: list[_Done],
) -> AccessResponse:
    results = (AccessResult(kind, each.code) for kind, each in zip(kinds, done, strict=True))
    return AccessResponse(number, tuple(each.data for each in done), tuple(results), told)


def _without_data(kind: AccessKind, done: _Done) -> _Done:
    """Return what is said where the data do not fit: a method was carried out all the same."""
    read = kind is AccessKind.GET and done.data != NULL_DATA
    return _Done(_OTHER if read else done.code)
