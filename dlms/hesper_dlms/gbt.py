"""General block transfer: any APDU in numbered blocks (IEC 62056-5-3; Green Book, 9.4.6.13).

The APDU is ciphered first and cut second, so blocks are never ciphered themselves. Numbers count
from 1 without a gap. There are two ways to use it:

Unconfirmed, for pushes: the meter streams all blocks with window 0, nobody answers. A block that
is missing or comes twice cannot be asked for again, so `BlockAssembly` drops the whole message; a
block 1 always begins a new one.

Confirmed, in an association: both sides take turns.

    sender                                   receiver
    n blocks, n at most the other's window
    all but the last streaming  ----------->  takes those that follow without a gap
                                <-----------  one block or several: its own data, or none, and BNA:
                                              the last number taken without a gap
    goes on behind BNA: what was lost is sent again

Each block carries its number (BN), the peer's last number taken (BNA), whether more follow in this
turn (streaming), the window that its sender is ready to take, and whether it ends the APDU (last).
A block without data only acknowledges; it is numbered like the others. Who began in general blocks
is answered in general blocks, until the response is whole.

`BlockExchange` is one request and its response, from either side. Wrong blocks never become data: a
repeated number must repeat its octets, a number ahead of its turn is not taken, an acknowledgement
of what was never sent ends the exchange (only a first block may be careless about it), as does a
peer that takes turn after turn without moving.
"""

from __future__ import annotations

from collections import deque

from hesper_dlms.apdu.block_transfer import GeneralBlockTransfer
from hesper_dlms.association import MAX_VALUE
from hesper_dlms.errors import DecodeError, LocalError

MAX_APDU = 1 << 20
"""More than any meter pushes; what grows beyond it is dropped."""

MAX_WINDOW = 63
_LAST_NUMBER = 0xFFFF
_SHORT_HEAD = 7
_LONG_HEAD = 9
_SHORT_BLOCK = 0x7F
_IDLE_TURNS = 8


def block_size(max_pdu: int) -> int:
    """Return how many octets of an APDU a block of at most `max_pdu` octets carries."""
    if max_pdu <= _SHORT_HEAD + _SHORT_BLOCK:
        size = max_pdu - _SHORT_HEAD
    else:
        size = max(_SHORT_BLOCK, max_pdu - _LONG_HEAD)
    if size < 1:
        raise LocalError(f"a block of {max_pdu} octets carries nothing")
    return size


def cut(apdu: bytes, max_pdu: int) -> list[bytes]:
    """Return the parts of an APDU that fit blocks of `max_pdu` octets.

    Raises:
        LocalError: There would be more blocks than numbers.
    """
    size = block_size(max_pdu)
    parts = [apdu[at : at + size] for at in range(0, len(apdu), size)]
    if len(parts) > _LAST_NUMBER:
        raise LocalError(f"{len(apdu)} octets need more than {_LAST_NUMBER} blocks of {size}")
    return parts


def push_blocks(apdu: bytes, max_pdu: int) -> list[bytes]:
    """Return an APDU, ciphered already where it is to be, as blocks that nobody confirms.

    All of them stream and announce window 0, as the pushes of an E450 of Landis+Gyr do.

    Args:
        apdu: Usually a data-notification.
        max_pdu: Octets that each block may have, its header included.
    """
    parts = cut(apdu, max_pdu)
    last = len(parts)
    return [
        GeneralBlockTransfer(number == last, True, 0, number, 0, part).to_octets()
        for number, part in enumerate(parts, start=1)
    ]


class BlockAssembly:
    """Collects the blocks of one APDU that nobody confirms."""

    __slots__ = ("_blocks", "_size")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether blocks wait for their last one."""
        return bool(self._blocks)

    def clear(self) -> None:
        """Forget what was collected."""
        self._blocks.clear()
        self._size = 0

    def add(self, number: int, last: bool, block: bytes) -> bytes | None:
        """Take one block; return the whole APDU when it was the last, None while more must come.

        Raises:
            DecodeError: The block is not the next one, or the whole is too large; what was
                collected is forgotten.
        """
        if number == 1:
            self.clear()
        if number != len(self._blocks) + 1:
            self.clear()
            raise DecodeError("general block transfer out of order: whole message dropped")
        self._blocks.append(block)
        self._size += len(block)
        if self._size > MAX_APDU:
            self.clear()
            raise DecodeError("general block transfer too large: whole message dropped")
        if not last:
            return None
        whole = b"".join(self._blocks)
        self.clear()
        return whole


class BlockExchange:
    """One APDU each way in confirmed blocks, from one side.

    Args:
        max_pdu: Octets that the other side takes in one block, header included.
        window: Blocks that we are ready to take in a row, 1 to 63.
    """

    __slots__ = (
        "_idle_turns",
        "_moved",
        "_number",
        "_peer_window",
        "_taken",
        "_taken_size",
        "_unacknowledged",
        "_unsent",
        "_whole",
        "max_pdu",
        "window",
    )

    def __init__(self, max_pdu: int, window: int) -> None:
        if not 1 <= window <= MAX_WINDOW:
            raise LocalError(f"a window of {window} blocks: it is 1 to {MAX_WINDOW}")
        self.max_pdu = max_pdu
        self.window = window
        self._unsent: deque[bytes] = deque()
        self._unacknowledged: deque[tuple[int, bool, bytes]] = deque()
        self._number = 0
        self._peer_window = 1
        self._taken: list[bytes] = []
        self._taken_size = 0
        self._whole = False
        self._moved = False
        self._idle_turns = 0

    @property
    def finished(self) -> bool:
        """Whether all that we had to send was acknowledged, and all of the peer's was taken."""
        return self._whole and not (self._unsent or self._unacknowledged)

    @property
    def asked_everything(self) -> bool:
        """Whether the last block of our APDU went out and may have been acted on."""
        return any(last for _, last, octets in self._unacknowledged if octets)

    def send(self, apdu: bytes) -> None:
        """Make an APDU of ours leave in the next turns; LocalError when it is too long."""
        self._unsent.extend(cut(apdu, self.max_pdu))

    def turn(self) -> list[bytes]:
        """Return the blocks to send in our turn: the lost ones again, then new ones, or one
        without data that only acknowledges."""
        if self._unsent and not any(octets for *_, octets in self._unacknowledged):
            # Lost, or the peer does not count what has no data: the number is free again.
            self._number -= len(self._unacknowledged)
            self._unacknowledged.clear()
        again = list(self._unacknowledged)[: self._peer_window]
        if len(again) == len(self._unacknowledged):
            while self._unsent and len(again) < self._peer_window:
                octets = self._unsent.popleft()
                again.append(self._numbered(not self._unsent, octets))
        if not again:
            again.append(self._numbered(not self._unsent, b""))
        streaming = len(again) - 1
        return [
            GeneralBlockTransfer(
                last, at < streaming, self.window, number, len(self._taken), octets
            ).to_octets()
            for at, (number, last, octets) in enumerate(again)
        ]

    def take(self, block: GeneralBlockTransfer) -> bytes | None:
        """Take a block of the other side; return its whole APDU with the block that completes it.

        Raises:
            DecodeError: The exchange is broken; nothing of it may be believed.
        """
        beginning = block.number == 1 and not self._taken
        acknowledged = self._acknowledged(block.acknowledged, lenient=beginning)
        self._peer_window = max(1, block.window)
        added = self._add(block)
        self._moved = self._moved or acknowledged or added
        if ends_turn(block):
            self._idle_turns = 0 if self._moved else self._idle_turns + 1
            self._moved = False
            if self._idle_turns > _IDLE_TURNS:
                raise DecodeError("general block transfer makes no progress")
        if not added or self._whole or not (block.last and self._taken_size):
            return None
        self._whole = True
        return b"".join(self._taken)

    def _numbered(self, last: bool, octets: bytes) -> tuple[int, bool, bytes]:
        if self._number == _LAST_NUMBER:
            raise LocalError("general block transfer has run out of block numbers")
        self._number += 1
        block = self._number, last, octets
        self._unacknowledged.append(block)
        return block

    def _acknowledged(self, number: int, *, lenient: bool) -> bool:
        if number == _LAST_NUMBER != self._number:
            return False  # -1, as clients of Gurux say that they keep no count
        if number > self._number and not lenient:
            raise DecodeError(f"block {number} was acknowledged and never sent")
        moved = False
        while self._unacknowledged and self._unacknowledged[0][0] <= number:
            self._unacknowledged.popleft()
            moved = True
        return moved

    def _add(self, block: GeneralBlockTransfer) -> bool:
        """Take a block's octets where it is the next; return whether it was."""
        taken = self._taken
        if not 1 <= block.number <= len(taken) + 1:
            return False
        if block.number <= len(taken):
            if block.octets and taken[block.number - 1] != block.octets:
                raise DecodeError(f"block {block.number} came twice, with other octets")
            return False
        if self._whole and block.octets:
            raise DecodeError(f"block {block.number} comes behind the last one")
        taken.append(block.octets)
        self._taken_size += len(block.octets)
        if self._taken_size > MAX_VALUE:
            raise DecodeError("general block transfer grows too large")
        return True


def ends_turn(block: GeneralBlockTransfer) -> bool:
    """Return whether the side that sent a block now waits for the other."""
    return not block.streaming or block.last
