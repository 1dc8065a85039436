"""How a client's proof arrives in the last step of HLS, and how it is answered (Green Book, 9.2.7).

With logical names it is an ACTION on the association object; with short names a read of the method
of class 12 at 0xFA58 with parameterized access.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import ActionResult, Result
from hesper_dlms.association import ASSOCIATION_CLASS, CURRENT_ASSOCIATION, REPLY_TO_HLS
from hesper_dlms.short_names import SHORT_NAME_REPLY_TO_HLS, ShortNames

_METHOD = apdu.CosemMethod(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, REPLY_TO_HLS)
_SHORT_NAME = ShortNames(()).of_method(SHORT_NAME_REPLY_TO_HLS)


class HlsReply(NamedTuple):
    """The client's proof as encoded octets (None: left out) and how to answer it."""

    proof: bytes | None
    invoke_id_and_priority: int | None

    def answer(self, result: Result) -> bytes:
        """Return the APDU that carries the meter's proof, or the code that refuses."""
        invoke = self.invoke_id_and_priority
        if invoke is None:
            return apdu.ReadResponse((result,)).to_octets()
        if isinstance(result, int):
            return apdu.ActionResponseNormal(invoke, result).to_octets()
        return apdu.ActionResponseNormal(invoke, ActionResult.SUCCESS, result).to_octets()


def hls_reply(request: apdu.Apdu) -> HlsReply | None:
    """Return the proof that a request carries; None when it is some other request."""
    if isinstance(request, apdu.ActionRequestNormal) and request.method == _METHOD:
        return HlsReply(request.parameters, request.invoke_id_and_priority)
    if isinstance(request, apdu.ReadRequest) and len(request.accesses) == 1:
        access = request.accesses[0]
        if isinstance(access, apdu.ParameterizedAccess) and access.name == _SHORT_NAME:
            return HlsReply(axdr.encode(access.parameter), None)
    return None
