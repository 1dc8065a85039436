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

    @property
    def limit(self) -> int:
        """Octets that a plain response may have; may change from one request to the next."""
        return self.context.limit

    @limit.setter
    def limit(self, octets: int) -> None:
        self.context.limit = octets

    def answer(self, request: apdu.Apdu) -> Response | Silence | apdu.ExceptionResponse | None:
        """Return the response to a request; None when its service or form was not agreed."""
        serve, needed, confirmed = _SERVICES.get(type(request), _NONE)
        if serve is None or needed & self._missing:
            return None
        response: Response | None = serve(self.context, request)
        if confirmed is not None and not confirmed(request):
            return Silence()
        return _TOO_LONG if response is None else response


def _is_confirmed(request: Any) -> bool:
    return bool(request.invoke_id_and_priority & _CONFIRMED)


def _access_is_confirmed(request: apdu.AccessRequest) -> bool:
    return bool(request.long_invoke_id_and_priority & CONFIRMED)


def _take_note(context: ServiceContext, confirm: apdu.DataNotificationConfirm) -> None:
    """A push arrived: nobody here waits for that."""


def _never(request: Any) -> bool:
    del request
    return False


_Serve: TypeAlias = Callable[[ServiceContext, Any], Response | None]
_Entry: TypeAlias = tuple[_Serve | None, int, Callable[[Any], bool] | None]
_NONE: Final[_Entry] = (None, 0, None)
_MANY = Conformance.MULTIPLE_REFERENCES
_GET = Conformance.GET
_GET_BLOCKS = _GET | Conformance.BLOCK_TRANSFER_WITH_GET
_SET = Conformance.SET
_SET_BLOCKS = _SET | Conformance.BLOCK_TRANSFER_WITH_SET
_ACTION = Conformance.ACTION
_ACTION_BLOCKS = _ACTION | Conformance.BLOCK_TRANSFER_WITH_ACTION


def _confirmable(serve: _Serve, needed: Conformance) -> _Entry:
    return serve, int(needed), _is_confirmed


# Plain integers, because flags combine slowly and this is looked up at every request. A GET is
# always answered.
_SERVICES: dict[type, _Entry] = {
    apdu.GetRequestNormal: (get.normal, int(_GET), None),
    apdu.GetRequestNext: (get.following, int(_GET_BLOCKS), None),
    apdu.GetRequestWithList: (get.with_list, int(_GET | _MANY), None),
    apdu.SetRequestNormal: _confirmable(set.normal, _SET),
    apdu.SetRequestFirstBlock: _confirmable(set.first_block, _SET_BLOCKS),
    apdu.SetRequestBlock: _confirmable(set.block, _SET_BLOCKS),
    apdu.SetRequestWithList: _confirmable(set.with_list, _SET | _MANY),
    apdu.SetRequestWithListFirstBlock: _confirmable(set.list_first_block, _SET_BLOCKS | _MANY),
    apdu.ActionRequestNormal: _confirmable(action.normal, _ACTION),
    apdu.ActionRequestFirstBlock: _confirmable(action.first_block, _ACTION_BLOCKS),
    apdu.ActionRequestBlock: _confirmable(action.block, _ACTION_BLOCKS),
    apdu.ActionRequestNextBlock: _confirmable(action.following, _ACTION_BLOCKS),
    apdu.ActionRequestWithList: _confirmable(action.with_list, _ACTION | _MANY),
    apdu.ActionRequestWithListFirstBlock: _confirmable(
        action.list_first_block, _ACTION_BLOCKS | _MANY
    ),
    apdu.AccessRequest: (access.answer, int(Conformance.ACCESS), _access_is_confirmed),
    apdu.DataNotificationConfirm: (_take_note, 0, _never),
}
