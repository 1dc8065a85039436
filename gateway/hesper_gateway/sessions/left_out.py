"""What meters say that cannot travel as a reading: counted and told, never dropped in silence.

A reading is an integer of signed 64 bit with a scaler. Floats would be altered on the way, and
larger integers (an all-ones "not available" of a long64-unsigned) have no place. Its logical name
alone says what it is, so that the status of a register has none either.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from hesper_contracts.events import Event
from hesper_dlms import obis

from hesper_gateway.sessions.clock import as_utc

LeftOut = Counter[bytes]
"""Logical name → how many of its numbers were left out."""

_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1


def travelling(value: object, logical_name: bytes, left_out: LeftOut) -> int | None:
    """Return the integer that travels; None for what is no number, or one that is left out."""
    if isinstance(value, int) and _LOWEST <= value <= _HIGHEST:
        return int(value)
    if isinstance(value, int | float):
        left_out[logical_name] += 1
    return None


def nameless(values: Sequence[object], logical_name: bytes, left_out: LeftOut) -> list[int | None]:
    """Leave out the numbers of a column whose logical name already stands for another one."""
    left_out.update(logical_name for value in values if isinstance(value, int | float))
    return [None] * len(values)


def event(meter: str, logical_names: Iterable[bytes], now: float) -> Event:
    """Return the event by which the cloud learns what it will not see of a meter."""
    names = ", ".join(map(obis.text, sorted(logical_names)))
    return Event(
        id=f"{meter}/{int(now * 1000)}/meter.values_left_out",
        code="meter.values_left_out",
        severity="warning",
        occurred_at=as_utc(now),
        meter=meter,
        text=f"numbers of {names} cannot travel as readings and are left out",
        attributes={"logical_names": names},
    )
