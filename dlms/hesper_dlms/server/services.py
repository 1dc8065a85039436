"""The data services of one open association (IEC 62056-5-3, clause 6): which request goes where.

A request of a service or a form that was not agreed on is not answered here: the session refuses
it. What does not fit the client's largest APDU leaves in blocks of its own service where those were
agreed, else in general blocks, else not at all. An unconfirmed SET, ACTION or ACCESS is carried out
without a response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from hesper_dlms import apdu
from hesper_dlms.apdu import Conformance, error
from hesper_dlms.apdu.access import CONFIRMED
from hesper_dlms.server import access, action, get, set  # noqa: A004 - the service's name
from hesper_dlms.server.context import ServiceContext
from hesper_dlms.server.model import CosemServer
from hesper_dlms.server.short_names import Silence

Response: TypeAlias = (
    apdu.GetResponse | apdu.SetResponse | apdu.ActionResponse | apdu.AccessResponse
)
_CONFIRMED = 0x40
_TOO_LONG: Final = apdu.ExceptionResponse(error.SERVICE_NOT_ALLOWED, error.PDU_TOO_LONG)


class Services:
    """The data services of one association.

    Args:
        objects: The meter's objects.
        client: The client's address, handed to the objects.
        limit: Octets that a plain response may have.
        conformance: The services that were agreed.
    """

    __slots__ = ("_missing", "context")

    def __init__(
        self, objects: CosemServer, client: int, limit: int, conformance: Conformance
    ) -> None:
        self.context = ServiceContext(objects, client, limit, conformance)
        self._missing = ~int(conformance)

    def answer(self, request: apdu.Apdu) -> Response | Silence | apdu.ExceptionResponse | None:
        """Return the response to a request; None when its service or form was not agreed."""
        if isinstance(request, apdu.DataNotificationConfirm):
            return Silence()
        serve, needed = _SERVICES.get(type(request), _NONE)
        if serve is None or needed & self._missing:
            return None
        response: Response | None = serve(self.context, request)
        if not _is_confirmed(request):
            return Silence()
        return _TOO_LONG if response is None else response


def _is_confirmed(request: apdu.Apdu) -> bool:
    if isinstance(request, apdu.GetRequest):
        return True
    if isinstance(request, apdu.AccessRequest):
        return bool(request.long_invoke_id_and_priority & CONFIRMED)
    return bool(getattr(request, "invoke_id_and_priority", _CONFIRMED) & _CONFIRMED)


_Entry: TypeAlias = tuple[Callable[[ServiceContext, Any], Response | None] | None, int]
_NONE: Final[_Entry] = (None, 0)
_MANY = Conformance.MULTIPLE_REFERENCES
_GET = Conformance.GET
_GET_BLOCKS = _GET | Conformance.BLOCK_TRANSFER_WITH_GET
_SET = Conformance.SET
_SET_BLOCKS = _SET | Conformance.BLOCK_TRANSFER_WITH_SET
_ACTION = Conformance.ACTION
_ACTION_BLOCKS = _ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION

# Plain integers, because flags combine slowly and this is looked up at every request.
_SERVICES: dict[type, _Entry] = {
    apdu.GetRequestNormal: (get.normal, int(_GET)),
    apdu.GetRequestNext: (get.following, int(_GET_BLOCKS)),
    apdu.GetRequestWithList: (get.with_list, int(_GET | _MANY)),
    apdu.SetRequestNormal: (set.normal, int(_SET)),
    apdu.SetRequestFirstBlock: (set.first_block, int(_SET_BLOCKS)),
    apdu.SetRequestBlock: (set.block, int(_SET_BLOCKS)),
    apdu.SetRequestWithList: (set.with_list, int(_SET | _MANY)),
    apdu.SetRequestWithListFirstBlock: (set.list_first_block, int(_SET_BLOCKS | _MANY)),
    apdu.ActionRequestNormal: (action.normal, int(_ACTION)),
    apdu.ActionRequestFirstBlock: (action.first_block, int(_ACTION_BLOCKS)),
    apdu.ActionRequestBlock: (action.block, int(_ACTION_BLOCKS)),
    apdu.ActionRequestNextBlock: (action.following, int(_ACTION_BLOCKS)),
    apdu.ActionRequestWithList: (action.with_list, int(_ACTION | _MANY)),
    apdu.ActionRequestWithListFirstBlock: (
        action.list_first_block,
        int(_ACTION_BLOCKS | _MANY),
    ),
    apdu.AccessRequest: (access.answer, int(Conformance.ACCESS)),
}
