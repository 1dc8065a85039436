"""The form that all readings of a JSON batch have, learnt from the first of them.

A reading's octets fall into *holes* (meter, time, integers) and the *pieces* between them. Values
of ours are put into the holes and msgspec opens that: so it says itself what each hole means.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import msgspec

from hesper_contracts.readings_json import MOST_QUALITY, MOST_STATUS, JsonReading

_MOST_OCTETS = 16 * 1024
_READING = re.compile(rb"(\{[^{}]*\{[^{}]*\}[^{}]*\})(\s*,\s*)?")
_HOLE = re.compile(
    rb'"meter"\s*:\s*"(?P<meter>[^"]+)'
    rb'|"captured_at"\s*:\s*"(?P<captured_at>[^"]+)'
    rb'|"clock_status"\s*:\s*(?P<clock_status>\d{1,3})'
    rb'|"quality"\s*:\s*(?P<quality>\d{1,5})'
    rb"|\[\s*(?P<value>-?\d{1,18})"
)
_NO_MARKS = re.compile(rb'[^,"]*')
_FILLINGS = {
    "meter": (b"M", "M"),
    "captured_at": (b"2001-02-03T04:05:06Z", datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)),
    "clock_status": (b"201", 201),
    "quality": (b"20202", 20202),
}
_STATUSES = range(MOST_STATUS + 1)
_QUALITIES = range(MOST_QUALITY + 1)
_opened = msgspec.json.Decoder(JsonReading).decode


class Form(NamedTuple):
    """Pieces before, between and behind the holes, what stands between two readings, the holes.

    Of each hole: its kind (the name of a field, or ``value``), how many marks (commas and quotes)
    of its reading are in front of its end, and how far the next one is from there.
    """

    pieces: tuple[bytes, ...]
    separator: bytes
    kinds: tuple[str, ...]
    marks: tuple[int, ...]
    distances: tuple[int, ...]

    @property
    def all_marks(self) -> int:
        """How many marks a reading has, with the comma behind it."""
        return self.marks[-1] + _marks_in(self.pieces[-1]) + 1


class Meaning(NamedTuple):
    """What a form says of each reading; None where each says it itself."""

    profile: str | None
    names: tuple[str, ...]
    scalers: tuple[int, ...]
    units: tuple[int, ...]
    clock_status: int | None
    quality: int | None


def form_at(payload: bytes, start: int) -> Form | None:
    """Return the form of the reading that begins at a place; None where that is unusual."""
    found = _READING.match(payload, start, start + _MOST_OCTETS)
    if found is None:
        return None
    reading, separator = found[1], found[2] or b","
    holes = [
        (str(each.lastgroup), *each.span(each.lastgroup or 0)) for each in _HOLE.finditer(reading)
    ]
    if not holes:
        return None
    kinds, starts, ends = zip(*holes, strict=True)
    pieces = (reading[a:b] for a, b in zip((0, *ends), (*starts, len(reading)), strict=True))
    whole = reading + separator
    return Form(
        tuple(pieces),
        separator,
        kinds,
        tuple(_marks_in(reading[:end]) for end in ends),
        tuple(len(_NO_MARKS.match(whole, end)[0]) for end in ends),  # type: ignore[index]
    )


def _marks_in(octets: bytes) -> int:
    return octets.count(b",") + octets.count(b'"')


@lru_cache(maxsize=64)
def meaning(form: Form) -> Meaning | None:
    """Return what msgspec makes of a form filled by us; None where holes are not what they seem."""
    numbers = count(1)
    fillings = [
        _FILLINGS[kind][0] if kind in _FILLINGS else b"%d" % next(numbers) for kind in form.kinds
    ]
    filled = b"".join(map(bytes.__add__, form.pieces, [*fillings, b""]))
    try:
        reading = _opened(filled)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not reading.values:
        return None
    if reading.clock_status not in _STATUSES or reading.quality not in _QUALITIES:
        return None
    values, scalers, units = zip(*reading.values.values(), strict=True)
    told = [kind for kind, (_, meant) in _FILLINGS.items() if getattr(reading, kind) == meant]
    if sorted(kind for kind in form.kinds if kind in _FILLINGS) != sorted(told):
        return None  # a key that comes twice, say
    if not {"meter", "captured_at"} <= set(told) or values != tuple(range(1, next(numbers))):
        return None
    return Meaning(
        reading.profile,
        tuple(reading.values),
        scalers,
        units,
        None if "clock_status" in told else reading.clock_status,
        None if "quality" in told else reading.quality,
    )
