"""General block transfer on the meter's side of one association (see `hesper_dlms.gbt`).

A request that came in blocks is answered in blocks; so is a response that is too long for one APDU
and has no blocks of its own. A block 1 with data begins a new request, whatever was under way: the
client has given that up. While blocks of a turn stream in, nothing is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hesper_dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER, GeneralBlockTransfer
from hesper_dlms.errors import DlmsError
from hesper_dlms.gbt import BlockExchange, ends_turn

Answer: TypeAlias = Callable[[bytes, bool], bytes | None]
"""Answers a whole APDU; the flag says that the response may have any length."""


class GeneralBlocks:
    """The exchange in general blocks of one client, when there is one.

    Args:
        max_pdu: The client's largest APDU, in octets.
        window: Blocks that the meter takes in a row.
    """

    __slots__ = ("_exchange", "_following", "_max_pdu", "_window")

    def __init__(self, max_pdu: int, window: int) -> None:
        self._max_pdu = max_pdu
        self._window = window
        self._exchange: BlockExchange | None = None
        self._following: list[bytes] = []

    def answer(self, octets: bytes, answer: Answer) -> bytes | None:
        """Return the APDU that answers another one; `following` has what comes right behind it.

        Raises:
            DecodeError: The block does not belong to what went before; the exchange is over.
        """
        self._following = []
        if octets[:1] != bytes((GENERAL_BLOCK_TRANSFER,)):
            self._exchange = None
            return self._begin_response(answer(octets, False))
        try:
            return self._take(GeneralBlockTransfer.from_octets(octets), answer)
        except DlmsError:
            self._exchange = None
            raise

    def following(self) -> list[bytes]:
        """Return the blocks that stream behind the last answer, oldest first; only once."""
        taken, self._following = self._following, []
        return taken

    def _take(self, block: GeneralBlockTransfer, answer: Answer) -> bytes | None:
        exchange = self._exchange
        if exchange is None or (block.number == 1 and block.octets):
            exchange = self._exchange = BlockExchange(self._max_pdu, self._window)
        whole = exchange.take(block)
        if whole is not None:
            response = answer(whole, True)
            if not response:
                self._exchange = None
                return None
            exchange.send(response)
        if exchange.finished:
            self._exchange = None
            return None
        return self._turn(exchange) if ends_turn(block) else None

    def _begin_response(self, response: bytes | None) -> bytes | None:
        if not response or len(response) <= self._max_pdu:
            return response
        self._exchange = BlockExchange(self._max_pdu, self._window)
        self._exchange.send(response)
        return self._turn(self._exchange)

    def _turn(self, exchange: BlockExchange) -> bytes:
        first, *self._following = exchange.turn()
        return first
