"""Many bodies of one small section each, as the batches of few meters have, taken apart at once.

Theory of operation. Bodies with the same profile, quantities, number of meters and rows of each
have the same streams in the same order, however wide each of them is. So all are walked over side
by side: one column of offsets, and each step reads the next field of every body with a few numpy
operations, whose price is shared by all. At whatever is unusual in a body, wrong octets included,
that body is left out: `columns.decode` takes it apart alone, and has the last word.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hesper_contracts.column_streams import Int64s
from hesper_contracts.columns import names_of
from hesper_contracts.frame import Refused
from hesper_contracts.readings import PROFILES, QUANTITIES, SCALED, Quantity
from hesper_contracts.streams import LOW, Cursor
from hesper_contracts.topics import METER

FEWEST = 24
"""Bodies alike, below which they are quicker taken apart one by one."""

_MOST_ROWS = 1024
_MOST_CELLS = 16_000_000  # rows times columns of all that is taken apart together
_LONGEST_VARINT = 9
_WIDEST = 8
_BEYOND = bytes(_WIDEST * _MOST_ROWS + _LONGEST_VARINT + 1)

_Mask = npt.NDArray[np.bool_]


class Layout(NamedTuple):
    """What bodies have in common: octets up to the count of meters, that, and rows of each."""

    head: bytes
    meters: int
    rows: int

    @property
    def cells(self) -> int:
        """Rows times columns, time, clock status and quality included."""
        return self.meters * self.rows * (self.head[2] + 3)


class Lone(NamedTuple):
    """Bodies that are alike: N of R rows, meter by meter, ascending in time.

    ``places`` says which bodies those are, and ``meters`` and ``received_at`` are theirs, in that
    order; each meter has as many rows. ``captured_at``, ``clock_status`` and ``quality`` have shape
    (N, R), ``values`` (quantities, N, R); no value is missing.
    """

    places: list[int]
    profile: bytes
    quantities: tuple[Quantity, ...]
    meters: list[tuple[str, ...]]
    received_at: Int64s
    captured_at: Int64s
    clock_status: Int64s
    quality: Int64s
    values: Int64s


class _Found(NamedTuple):
    """Bodies of one layout: which, whose, and where their streams begin."""

    places: list[int]
    meters: list[tuple[str, ...]]
    begins: list[int]


def taken_apart(bodies: Sequence[bytes]) -> list[Lone]:
    """Return what could be taken apart together; bodies whose place is in none are left."""
    alike: dict[Layout, _Found] = {}
    for place, body in enumerate(bodies):
        known = _layout(body)
        if known is not None:
            layout, meters, begin = known
            found = alike.setdefault(layout, _Found([], [], []))
            found.places.append(place)
            found.meters.append(meters)
            found.begins.append(begin)
    cells, walked = 0, []
    for layout, found in alike.items():
        cells += layout.cells * len(found.places)
        if len(found.places) >= FEWEST and cells <= _MOST_CELLS:
            lone = _walked([bodies[place] for place in found.places], layout, found)
            walked += [] if lone is None else [lone]
    return walked


def _layout(body: bytes) -> tuple[Layout, tuple[str, ...], int] | None:
    """Return a body's layout, its meters, and where its streams begin."""
    try:
        at = 3
        for _ in range(body[2]):
            at += 2 if body[at] & SCALED else 1
        meters, rows = _meters(body, at)
        coded = body[rows + 1]  # zigzag: an even octet is a positive number, 0x80 one that goes on
    except (IndexError, UnicodeDecodeError, Refused):
        return None
    if body[0] != 1 or body[rows] != LOW or coded >= 0x80 or coded & 1 or not coded:
        return None
    layout = Layout(body[:at], len(meters), coded >> 1)
    return (layout, meters, rows + 2) if layout.meters * layout.rows <= _MOST_ROWS else None


def _meters(body: bytes, at: int) -> tuple[tuple[str, ...], int]:
    """Return the meters that begin with their count, and where they end; raises as `Cursor`."""
    count = body[at]
    if count == 1:  # by far the most messages
        end = at + 2 + body[at + 1]
        name = body[at + 2 : end].decode("ascii")
        if not METER.fullmatch(name):
            raise Refused("no meter's name")
        return (name,), end
    if not 0 < count < 0x80:
        raise Refused("as many meters as no octet says")
    cursor = Cursor(body)
    cursor.take(at + 1)
    return names_of(cursor.texts(count)), cursor.offset


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


def _walked(bodies: list[bytes], layout: Layout, found: _Found) -> Lone | None:
    head, rows = layout.head, layout.meters * layout.rows
    quantities = _quantities(head)
    if not quantities or not 0 < head[1] < len(PROFILES):
        return None
    walk = _Walk(bodies, found.begins)
    captured_at = walk.stepped(layout)
    received_at = captured_at[:, 0] + walk.zigzag()
    clock_status, quality = walk.stream(rows), walk.stream(rows)
    values = np.stack([walk.stepped(layout) for _ in quantities])
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

    def stepped(self, layout: Layout) -> Int64s:
        """Return the next column of each body: each meter's first value, then all steps."""
        meters, rows = layout.meters, layout.rows
        table = np.empty((len(self._at), meters, rows), np.int64)
        table[:, :, 0] = self.stream(meters)
        table[:, :, 1:] = self.stream(meters * (rows - 1)).reshape(len(table), meters, rows - 1)
        for place in range(1, rows):
            table[:, :, place] += table[:, :, place - 1]
        return table.reshape(-1, meters * rows)
