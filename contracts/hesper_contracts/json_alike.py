"""JSON batches whose readings all name the same quantities, as they nearly always do.

For each set of names, with their scalers and units, a record is made whose fields they are: msgspec
then fills in records, where it would have to build a dictionary, and its keys, for each reading,
and accepts no other scaler or unit. Which they are is taken from the first octets of a payload; a
payload that turns out to be otherwise is not opened here, nor is one with a mistake:
`readings_json` opens those, and has the last word.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from hesper_contracts.frame import VERSION, Refused
from hesper_contracts.jsonbody import UtcTime, check_years
from hesper_contracts.readings_json import JsonBatch

_LOOK_AT = 4096
_NUMBER = rb"\s*(-?\d{1,18})\s*"
_VALUE = re.compile(rb'"([^"\\\x00-\x1f]{1,32})"\s*:\s*\[\s*-?\d+\s*,%b,%b\]' % (_NUMBER, _NUMBER))
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


class Named(NamedTuple):
    """What each reading holds: a name, the scaler and the unit of its value."""

    name: str
    scaler: int
    unit: int


class Alike(NamedTuple):
    """An opened batch; `values` has one for each name, reading after reading."""

    batch: JsonBatch | None
    received_at: UtcTime | None
    names: tuple[Named, ...]
    readings: Sequence[Reading]
    values: Iterator[int]


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
    triples = map(msgspec.structs.astuple, [reading.values for reading in found.readings])
    values = map(attrgetter("value"), chain.from_iterable(triples))
    return Alike(found.batch, found.received_at, names, found.readings, values)


def _names(octets: bytes) -> tuple[Named, ...]:
    """Return the names with a list of three behind them, up to the first that comes again."""
    found: dict[str, Named] = {}
    for octet_name, scaler, unit in _VALUE.findall(octets):
        name = octet_name.decode("ascii", "replace")
        if name in found:
            break
        found[name] = Named(name, int(scaler), int(unit))
    return tuple(found.values())


@lru_cache(maxsize=64)
def _decoder(names: tuple[Named, ...]) -> Callable[[bytes], Any]:
    fields = {f"value_{place}": each for place, each in enumerate(names)}
    values = msgspec.defstruct(
        "Values",
        [(field, _triple(each)) for field, each in fields.items()],
        rename={field: each.name for field, each in fields.items()},
        **_STRICT,
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


def _triple(named: Named) -> type[msgspec.Struct]:
    """Return the record of a value with the one scaler and unit that it may have."""
    fields = [
        ("value", int),
        ("scaler", Literal[named.scaler]),
        ("unit", Literal[named.unit]),
    ]
    return msgspec.defstruct("Triple", fields, array_like=True, **_STRICT)
