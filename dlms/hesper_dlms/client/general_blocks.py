"""General block transfer from the client's side (see `hesper_dlms.gbt`), below ciphering.

It stands between the channel and the link once an association agreed on it: what is longer than the
meter's largest APDU leaves in blocks, an answer in blocks is put together. Into silence the last
turn is sent again, unless the whole request went out and may have been carried out: then silence is
a broken link, as it always is.

Blocks that announce window 0 while they stream are a push that interleaves: nobody confirms them.
"""

from __future__ import annotations

from typing import Final

from hesper_dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER, GeneralBlockTransfer
from hesper_dlms.errors import DecodeError, LinkError, NoAnswer
from hesper_dlms.exchange import ClientLink, Exchange
from hesper_dlms.gbt import BlockAssembly, BlockExchange, ends_turn

_TAG: Final = bytes((GENERAL_BLOCK_TRANSFER,))
_RETRIES: Final = 2


class GeneralBlocks:
    """A link that carries APDUs of any length.

    Args:
        link: The way to the meter.
        max_pdu: The meter's largest APDU, in octets.
        window: Blocks that we are ready to take in a row, 1 to 63.
    """

    def __init__(self, link: ClientLink, max_pdu: int, window: int) -> None:
        self._link = link
        self._max_pdu = max_pdu
        self._window = window
        self._exchange: BlockExchange | None = None
        self._pushed = BlockAssembly()

    def request(self, apdu: bytes) -> Exchange[bytes]:
        """Send an APDU and return the one that answers.

        Raises:
            DecodeError: The meter's blocks do not belong together.
            LinkError: Silence.
            LocalError: The APDU needs more blocks than there are numbers.
        """
        self._exchange = None
        if len(apdu) <= self._max_pdu:
            octets = yield from self._link.request(apdu)
        else:
            self._exchange = BlockExchange(self._max_pdu, self._window)
            self._exchange.send(apdu)
            octets = yield from self._link.request_all(self._exchange.turn())
        return (yield from self._whole(octets))

    def receive(self) -> Exchange[bytes]:
        """Wait for another APDU of the meter."""
        return (yield from self._whole((yield from self._link.receive())))

    def _whole(self, octets: bytes) -> Exchange[bytes]:
        """Return the APDU that comes, in blocks or not; what is no block ends nothing."""
        while octets[:1] == _TAG:
            block = GeneralBlockTransfer.from_octets(octets)
            if block.window == 0 and (self._pushed.pending or _begins_push(block)):
                whole = self._push(block)
                if whole is not None:
                    return whole
                octets = yield from self._link.receive()
                continue
            exchange = self._exchange
            if exchange is None and block.number > 1 and block.acknowledged:
                octets = yield from self._link.receive()  # late: it answers an older exchange
                continue
            if exchange is None:
                exchange = self._exchange = BlockExchange(self._max_pdu, self._window)
            try:
                whole = exchange.take(block)
            except DecodeError:
                self._exchange = None
                raise
            if whole is not None:
                self._exchange = None
                return whole
            octets = yield from self._go_on(exchange, block)
        return octets

    def _go_on(self, exchange: BlockExchange, block: GeneralBlockTransfer) -> Exchange[bytes]:
        if ends_turn(block):
            return (yield from self._insist(exchange))
        try:
            return (yield from self._link.receive())
        except LinkError:
            return (yield from self._insist(exchange))  # the end of the meter's turn is lost

    def _insist(self, exchange: BlockExchange) -> Exchange[bytes]:
        """Take our turn, again into silence where nothing can be carried out twice."""
        for attempt in range(_RETRIES + 1):
            try:
                return (yield from self._link.request_all(exchange.turn()))
            except LinkError:
                if attempt == _RETRIES or exchange.asked_everything:
                    raise
        raise NoAnswer("the meter did not answer")

    def _push(self, block: GeneralBlockTransfer) -> bytes | None:
        try:
            return self._pushed.add(block.number, block.last, block.octets)
        except DecodeError:
            return None  # a push with a hole in it is no reason to fail a reading


def _begins_push(block: GeneralBlockTransfer) -> bool:
    return block.number == 1 and block.streaming
