"""How faults change a meter's answers: after the objects have answered, before ciphering.

Everything here takes one plain APDU and returns another; what a fault swallows is told by `Muted`,
what ends the connection by `LinkError`.
"""

from __future__ import annotations

from collections.abc import Mapping

from hesper_dlms.apdu import Aare, DataBlock, GetResponseWithBlock, aare, error
from hesper_dlms.errors import DlmsError, LinkError

from hesper_sim.faults import Fault

_GET_RESPONSE = 0xC4
_WITH_BLOCK, _WITH_LIST = 2, 3


class Muted(DlmsError):
    """The answer was lost on the way."""


class Misbehaviour:
    """What one meter remembers of its long answers, to lose or repeat blocks of them."""

    __slots__ = ("_before", "_count")

    def __init__(self) -> None:
        self._before: bytes | None = None
        self._count = 0

    def change(self, apdu: bytes, faults: Mapping[Fault, float]) -> bytes:
        """Return the answer that leaves in place of `apdu`.

        Raises:
            Muted: None does.
            LinkError: The meter hangs up.
        """
        tag = apdu[0]
        if tag == aare.AARE:
            return _bare(apdu) if Fault.BARE_AARE in faults else apdu
        if tag == error.EXCEPTION_RESPONSE:
            if Fault.COUNTER_HANG_UP in faults and apdu[2] == error.INVOCATION_COUNTER_ERROR:
                raise LinkError("the meter hangs up on a counter that was used before")
            return apdu
        if tag != _GET_RESPONSE:
            return apdu
        if apdu[1] == _WITH_LIST and Fault.REFUSE_WITH_LIST in faults:
            refusal = error.ExceptionResponse(error.SERVICE_UNKNOWN, error.SERVICE_NOT_SUPPORTED)
            return refusal.to_octets()
        return self._block(apdu, faults) if apdu[1] == _WITH_BLOCK else apdu

    def _block(self, apdu: bytes, faults: Mapping[Fault, float]) -> bytes:
        before, self._before = self._before, apdu
        self._count += 1
        if self._is_turn(faults, Fault.BLOCKS_LOST):
            raise Muted("a block was lost")
        if self._is_turn(faults, Fault.BLOCKS_DOUBLED) and before is not None:
            return before
        if self._is_turn(faults, Fault.BLOCKS_REORDERED):
            return _renumbered(apdu, 1)
        return apdu

    def _is_turn(self, faults: Mapping[Fault, float], fault: Fault) -> bool:
        every = faults.get(fault)
        return every is not None and self._count % max(int(every), 1) == 0


def failed_authentication(apdu: bytes) -> bool:
    """Return whether a plain answer refuses a password or a client's answer to a challenge."""
    if apdu[0] == aare.AARE:
        try:
            answer = Aare.from_octets(apdu)
        except DlmsError:
            return False
        return answer.result != aare.ACCEPTED and answer.diagnostic == aare.AUTHENTICATION_FAILURE
    return False


def _bare(apdu: bytes) -> bytes:
    answer = Aare.from_octets(apdu)
    if answer.result != aare.ACCEPTED:
        return apdu
    return answer._replace(user_information=None).to_octets()


def _renumbered(apdu: bytes, step: int) -> bytes:
    response = GetResponseWithBlock.from_octets(apdu)
    block = response.block
    later = DataBlock(block.last, block.number + step, block.octets)
    return response._replace(block=later).to_octets()
