"""JSON batches whose readings are laid out alike, octet by octet but for what they say.

Theory of operation: a program that writes JSON gives each reading the same form (`json_form`). Left
to do is to show that all readings of a batch have the form of its first, and to read their holes;
numpy does both for all readings at once. A form has as many commas and quotes in each reading: they
tell where the holes are. That each octet outside of the holes is the form's is then compared.

Whatever is otherwise (an escape, a null, keys in another order, a mistake) is left to
`readings_json`, which has the last word.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hesper_contracts import json_form, readings_json
from hesper_contracts.column_streams import Int64s
from hesper_contracts.frame import Refused
from hesper_contracts.json_form import Form, Meaning
from hesper_contracts.json_holes import gathered, integers, texts
from hesper_contracts.jsonbody import UtcTime, epoch_seconds
from hesper_contracts.readings_json import MOST_QUALITY, MOST_STATUS, JsonReadings
from hesper_contracts.topics import METER

_LEAST_OCTETS = 24 * 1024  # of fewer, records are made sooner than arrays
_AT_ONCE = 64 * 1024
_BLANKS = b" \t\n\r"
_MOST_BLANKS = 64
_COMMA, _QUOTE = b',"'
_MOST_KEPT = 6 * 1024  # octets of names: 50 kB as text
_LIST = re.compile(rb'"readings"\s*:\s*\[\s*')


class Rows(NamedTuple):
    """Whose each reading is, and when it was captured; ``meter_index`` points into ``meters``."""

    meters: tuple[str, ...]
    meter_index: npt.NDArray[np.int32]
    captured_at: Int64s
    clock_status: Int64s
    quality: Int64s


class Laid(NamedTuple):
    """A batch taken apart; ``values`` has a row for each name of the meaning."""

    envelope: JsonReadings
    meaning: Meaning
    rows: Rows
    values: Int64s


class _Places(NamedTuple):
    """Octets, and where in them each reading's holes are, by hole and reading."""

    octets: bytes
    starts: Int64s
    ends: Int64s


def parse(payload: bytes) -> Laid | None:
    """Return a batch of readings that have the same form; None for any other."""
    if len(payload) < _LEAST_OCTETS or not payload.isascii():
        return None
    head, end = _LIST.search(payload), payload.rfind(b"]")
    if head is None or head.end() > end or b"\\" in payload or b"\0" in payload:
        return None
    form = json_form.form_at(payload, head.end())
    meaning = None if form is None else json_form.meaning(form)
    if form is None or meaning is None:
        return None
    try:
        envelope = readings_json.parse(payload[: head.end()] + payload[end:])
    except Refused:
        return None
    blanks = payload[max(end - _MOST_BLANKS, 0) : end]
    last = end - (len(blanks) - len(blanks.rstrip(_BLANKS)))
    places = _places(payload, head.end(), last, form)
    return None if places is None else _laid(envelope, form, meaning, places)


def _places(octets: bytes, begin: int, end: int, form: Form) -> _Places | None:
    """Return where the holes are; None where some octet is not as the form has it."""
    first, last = form.pieces[0], form.pieces[-1]
    pieces = (last + form.separator + first, *form.pieces[1:-1])  # each in front of a hole
    marks = _marks(octets, begin, end)
    if len(marks) % form.all_marks:
        return None
    ends = marks.reshape(-1, form.all_marks).T[list(form.marks)].astype(np.int64)
    ends -= np.array(form.distances)[:, np.newaxis]
    lengths = np.array([len(piece) for piece in pieces])[:, np.newaxis]
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1] + lengths[1:]
    starts[0, 0] = begin + len(first)
    starts[0, 1:] = ends[-1, :-1] + lengths[0]
    if (starts >= ends).any() or not octets.startswith(first, begin):
        return None
    if octets[ends[-1, -1] : end] != last:
        return None
    for piece, at in zip(pieces, (ends[-1, :-1], *ends[:-1]), strict=True):
        if gathered(octets, at, len(piece)).tobytes() != piece * len(at):
            return None
    return _Places(octets, starts, ends)


def _marks(octets: bytes, begin: int, end: int) -> npt.NDArray[np.int32]:
    """Return where commas and quotes are, and as the last the end, where one more comma would be.

    Quotes are taken, too, as numpy finds a tenth of all octets twice as fast as fewer of them.
    What is looked at in one go fits the processor's cache, and the allocator's.
    """
    found = []
    for start in range(begin, end, _AT_ONCE):
        part = np.frombuffer(octets, np.uint8, min(_AT_ONCE, end - start), start)
        found.append(np.flatnonzero((part == _COMMA) | (part == _QUOTE)) + start)
    return np.concatenate([*found, [end]], dtype=np.int32, casting="same_kind")


def _laid(envelope: JsonReadings, form: Form, meaning: Meaning, places: _Places) -> Laid | None:
    """Return what stands in the holes; None where that is not what belongs there."""
    octets, starts, ends = places
    which = {kind: hole for hole, kind in enumerate(form.kinds)}
    meter, captured_at = which["meter"], which["captured_at"]
    names = texts(octets, starts[meter], ends[meter])
    times = texts(octets, starts[captured_at], ends[captured_at])
    if names is None or times is None:
        return None
    meters, seconds = _meters(names), _seconds(times)
    is_value = np.array([kind == "value" for kind in form.kinds])
    values = integers(octets, starts[is_value].ravel(), ends[is_value].ravel())
    if meters is None or seconds is None or values is None:
        return None
    small = []
    for kind, said, most in (
        ("clock_status", meaning.clock_status, MOST_STATUS),
        ("quality", meaning.quality, MOST_QUALITY),
    ):
        found: Int64s | None = np.full(len(seconds), said)
        if said is None:
            found = _small(integers(octets, starts[which[kind]], ends[which[kind]]), most)
        if found is None:
            return None
        small.append(found)
    return Laid(envelope, meaning, Rows(*meters, seconds, *small), values.reshape(-1, len(seconds)))


def _small(numbers: Int64s | None, most: int) -> Int64s | None:
    """Return numbers from 0 to the most that there is; None where one is another."""
    return numbers if numbers is not None and 0 <= numbers.min() <= numbers.max() <= most else None


def _meters(names: npt.NDArray[np.bytes_]) -> tuple[tuple[str, ...], npt.NDArray[np.int32]] | None:
    """Return different names in the order of their first reading, and whose each reading is."""
    begins = np.ones(len(names), np.bool_)
    np.not_equal(names[1:], names[:-1], out=begins[1:])
    runs = names[begins]
    found = (_kept_names if runs.nbytes <= _MOST_KEPT else _names)(runs.tobytes(), runs.itemsize)
    if found is None:
        return None
    different, of_run = found
    return different, of_run[np.cumsum(begins) - 1]


def _names(octets: bytes, width: int) -> tuple[tuple[str, ...], npt.NDArray[np.int32]] | None:
    """Return different names, and the number of each; None where one is none of a meter."""
    names: list[str] = np.frombuffer(octets, f"S{width}").astype(str).tolist()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if any('"' in name for name in numbers) or not all(map(METER.fullmatch, numbers)):
        return None
    return tuple(numbers), np.fromiter(map(numbers.__getitem__, names), np.int32, len(names))


_kept_names = lru_cache(maxsize=1024)(_names)  # a sender's next batch has the same meters


def _seconds(times: npt.NDArray[np.bytes_]) -> Int64s | None:
    """Return times as epoch seconds; one that came often is looked at once.

    Where it comes again after some readings all of them mostly do: each meter's, in that order.
    """
    again = np.flatnonzero(times[1:] == times[0])
    cycle = int(again[0]) + 1 if len(again) else len(times)
    if cycle < len(times) and times.tobytes() == times[:cycle].tobytes() * (len(times) // cycle):
        seconds = _seconds(times[:cycle])
        return None if seconds is None else np.tile(seconds, len(times) // cycle)
    told: list[bytes] = times.tolist()
    try:
        moments = {text: msgspec.convert(text.decode(), UtcTime) for text in set(told)}
    except msgspec.ValidationError:
        return None
    epochs = {text: epoch_seconds(moment) for text, moment in moments.items()}
    return np.fromiter(map(epochs.__getitem__, told), np.int64, len(told))
