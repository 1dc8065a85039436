"""JSON batches whose readings all name the same quantities, as they nearly always do.

For each set of names a record is made whose fields they are: msgspec then fills in tuples, where it
would have to build a dictionary, and its keys, for each reading. Which names those are is taken
from the first octets of a payload; a payload that turns out to be otherwise is not opened here, nor
is one with a mistake: `readings_json` opens those, and has the last word.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, Protocol

import msgspec

from hesper_contracts.frame import VERSION, Refused
from hesper_contracts.jsonbody import UtcTime, check_years
from hesper_contracts.readings_json import JsonBatch

_LOOK_AT = 4096
_NAME = re.compile(rb'"([^"\\\x00-\x1f]{1,32})"\s*:\s*\[\s*-?\d')
_Value = tuple[int, int, int]
_STRICT: dict[str, Any] = {"frozen": True, "forbid_unknown_fields": True, "gc": False}


class Reading(Protocol):
    """What a reading's record has beside its values; the time is text yet, the same for many."""

    @property
    def meter(self) -> str: ...
    @property
    def captured_at(self) -> str: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def clock_status(self) -> int: ...
    @property
    def quality(self) -> int: ...


class Alike(NamedTuple):
    """An opened batch; `numbers` is value, scaler and unit of each name, reading after reading."""

    batch: JsonBatch | None
    received_at: UtcTime | None
    names: tuple[str, ...]
    readings: Sequence[Reading]
    numbers: chain[int]


def parse(payload: bytes) -> Alike | None:
    """Return a batch of readings that all name the same quantities; None for any other."""
    names = _names(payload[:_LOOK_AT])
    if not names:
        return None
    try:
        found = _decoder(names)(payload)
        check_years(found.received_at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Refused):
        return None
    if found.kind != "readings" or found.version != VERSION or not found.readings:
        return None
    values = map(msgspec.structs.astuple, [reading.values for reading in found.readings])
    numbers = chain.from_iterable(chain.from_iterable(values))
    return Alike(found.batch, found.received_at, names, found.readings, numbers)


def _names(octets: bytes) -> tuple[str, ...]:
    """Return the names with a list behind them, up to the first that comes again."""
    found: dict[str, None] = {}
    for octet_name in _NAME.findall(octets):
        name = octet_name.decode("ascii", "replace")
        if name in found:
            break
        found[name] = None
    return tuple(found)


@lru_cache(maxsize=64)
def _decoder(names: tuple[str, ...]) -> Callable[[bytes], Any]:
    fields = {f"value_{place}": name for place, name in enumerate(names)}
    values = msgspec.defstruct(
        "Values", [(field, _Value) for field in fields], rename=fields, **_STRICT
    )
    reading = msgspec.defstruct(
        "Reading",
        [
            ("meter", str),
            ("captured_at", str),
            ("values", values),
            ("profile", str | None, None),
            ("clock_status", int, 0),
            ("quality", int, 0),
        ],
        **_STRICT,
    )
    batch = msgspec.defstruct(
        "Readings",
        [
            ("kind", str),
            ("version", int),
            ("readings", list[reading]),  # type: ignore[valid-type]
            ("batch", JsonBatch | None, None),
            ("received_at", UtcTime | None, None),
        ],
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(batch).decode
