"""Many bodies of one short section each, as batches of a single meter have, taken apart at once.

Theory of operation. Bodies with the same profile, quantities and number of rows have the same
streams in the same order, however wide each of them is. So all are walked over side by side: one
column of offsets, and each step reads the next field of every body with a few numpy operations,
whose price is shared by hundreds. At whatever is unusual in a body, wrong octets included, that
body is left out: `columns.decode` takes it apart alone, and has the last word.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hesper_contracts.column_streams import Int64s
from hesper_contracts.readings import PROFILES, QUANTITIES, SCALED, Quantity
from hesper_contracts.streams import LOW
from hesper_contracts.topics import METER

FEWEST = 24
"""Bodies alike, below which they are quicker taken apart one by one."""

_MOST_ROWS = 63  # as many as the count of rows says in one octet
_LONGEST_VARINT = 9
_WIDEST = 8
_BEYOND = bytes(_WIDEST * _MOST_ROWS + _LONGEST_VARINT + 1)

_Mask = npt.NDArray[np.bool_]
_Layout = tuple[bytes, int]


class Lone(NamedTuple):
    """Bodies that are alike: N of R rows; one meter each, ascending in time.

    ``places`` says which bodies those are, and ``meters`` and ``received_at`` are theirs, in that
    order. ``captured_at``, ``clock_status`` and ``quality`` have shape (N, R), ``values``
    (quantities, N, R); no value is missing.
    """

    places: list[int]
    profile: bytes
    quantities: tuple[Quantity, ...]
    meters: list[str]
    received_at: Int64s
    captured_at: Int64s
    clock_status: Int64s
    quality: Int64s
    values: Int64s


class _Found(NamedTuple):
    """Bodies of one layout: which, whose, and where their streams begin."""

    places: list[int]
    meters: list[str]
    begins: list[int]


def taken_apart(bodies: Sequence[bytes]) -> list[Lone]:
    """Return what could be taken apart together; bodies whose place is in none are left."""
    alike: dict[_Layout, _Found] = {}
    for place, body in enumerate(bodies):
        layout = _layout(body)
        if layout is not None:
            head, rows, meter, begin = layout
            found = alike.setdefault((head, rows), _Found([], [], []))
            found.places.append(place)
            found.meters.append(meter)
            found.begins.append(begin)
    return [
        lone
        for (head, rows), found in alike.items()
        if len(found.places) >= FEWEST
        and (lone := _walked([bodies[place] for place in found.places], head, rows, found))
    ]


def _layout(body: bytes) -> tuple[bytes, int, str, int] | None:
    """Return a body's octets up to its meter, its rows, its meter, and where its streams begin."""
    try:
        meter = 3
        for _ in range(body[2]):
            meter += 2 if body[meter] & SCALED else 1
        rows = meter + 2 + body[meter + 1]
        name = body[meter + 2 : rows].decode("ascii")
        if body[0] != 1 or body[meter] != 1 or body[rows] != LOW or not METER.fullmatch(name):
            return None
        coded = body[rows + 1]  # zigzag: an even octet is a positive number, 0x80 one that goes on
    except (IndexError, UnicodeDecodeError):
        return None
    if coded >= 0x80 or coded & 1 or not coded:
        return None
    return body[:meter], coded >> 1, name, rows + 2


def _quantities(head: bytes) -> tuple[Quantity, ...] | None:
    """Return the quantities that a head names; None where one has no code of ours."""
    found, at = [], 3
    for _ in range(head[2]):
        code, scaler = head[at] & ~SCALED, 0
        if head[at] & SCALED:
            at += 1
            scaler = (head[at] ^ 0x80) - 0x80
        if not 0 < code < len(QUANTITIES):
            return None
        at += 1
        logical_name, unit = QUANTITIES[code]
        found.append(Quantity(logical_name, scaler, unit))
    return tuple(found)


def _walked(bodies: list[bytes], head: bytes, rows: int, found: _Found) -> Lone | None:
    quantities = _quantities(head)
    if not quantities or not 0 < head[1] < len(PROFILES):
        return None
    walk = _Walk(bodies, found.begins)
    captured_at = walk.stepped(rows)
    received_at = captured_at[:, 0] + walk.zigzag()
    clock_status, quality = walk.stream(rows), walk.stream(rows)
    values = np.stack([walk.stepped(rows) for _ in quantities])
    walk.leave_out((clock_status < 0) | (clock_status > 0xFF) | (quality < 0) | (quality > 0xFFFF))
    kept = np.flatnonzero(walk.at_end())
    places = kept.tolist()
    return Lone(
        [found.places[each] for each in places],
        PROFILES[head[1]],
        quantities,
        [found.meters[each] for each in places],
        received_at[kept],
        captured_at[kept],
        clock_status[kept],
        quality[kept],
        values[:, kept],
    )


class _Walk:
    """Walks over bodies side by side, and notes which of them are not as they should be."""

    def __init__(self, bodies: list[bytes], begins: list[int]) -> None:
        lengths = np.array([len(body) for body in bodies], np.int64)
        self._octets = np.frombuffer(b"".join((*bodies, _BEYOND)), np.uint8)
        self._ends = lengths.cumsum()
        self._at = self._ends - lengths + np.array(begins, np.int64)
        self._wrong = np.zeros(len(bodies), np.bool_)

    def leave_out(self, wrong: _Mask) -> None:
        """Note bodies of which a value is wrong."""
        self._wrong |= wrong.any(axis=1)

    def at_end(self) -> _Mask:
        """Return which bodies were right, and end here."""
        ended: _Mask = ~self._wrong & (self._at == self._ends)
        return ended

    def _move(self, octets: Int64s | int) -> None:
        """Move on, to the end at most: whoever would go further is wrong."""
        self._at = self._at + octets
        self._wrong |= self._at > self._ends
        np.minimum(self._at, self._ends, out=self._at)

    def zigzag(self, among: _Mask | None = None) -> Int64s:
        """Return the next zigzag LEB128 of each body, 0 of those that are not among these."""
        more = np.ones(len(self._at), np.bool_) if among is None else among.copy()
        coded = np.zeros(len(self._at), np.int64)
        length = np.zeros(len(self._at), np.int64)
        for place in range(_LONGEST_VARINT):
            octet = self._octets[self._at + place]
            coded |= np.where(more, octet & 0x7F, 0).astype(np.int64) << 7 * place
            length += more
            more &= octet >= 0x80
            if not more.any():
                break
        self._wrong |= more
        self._move(length)
        value: Int64s = (coded >> 1) ^ -(coded & 1)
        return value

    def stream(self, count: int) -> Int64s:
        """Return the next stream of each body, of so many integers."""
        head = self._octets[self._at]
        self._move(1)
        low = self.zigzag(head & LOW > 0)
        width = (head & ~np.uint8(LOW)).astype(np.int64)
        self._wrong |= width > _WIDEST
        width[self._wrong] = 0
        values = np.repeat(low[:, None], count, axis=1)
        columns = np.arange(count)
        for rank in range(int(width.max(initial=0)) if count else 0):
            wide = np.flatnonzero(width > rank)
            plane = self._octets[(self._at[wide] + rank * count)[:, None] + columns]
            values[wide] += plane.astype(np.int64) << 8 * rank
        self._move(width * count)
        return values

    def stepped(self, rows: int) -> Int64s:
        """Return the next column of each body: its first value, then steps."""
        table = np.concatenate([self.stream(1), self.stream(rows - 1)], axis=1)
        return table.cumsum(axis=1, dtype=np.int64)
