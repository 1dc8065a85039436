"""JSON bodies as typed records: one way to write them, one strict way to read them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeVar

import msgspec

from hesper_contracts.frame import Refused

UtcTime = Annotated[datetime, msgspec.Meta(tz=True)]
_YEARS = range(1970, 9999)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_T = TypeVar("_T")


def encode(record: object) -> bytes:
    """Return the JSON octets of a record; times are RFC 3339, a worded text is its words."""
    return msgspec.json.encode(record, enc_hook=_plain)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


def decode(octets: bytes, type_: type[_T]) -> _T:
    """Return the record that JSON octets hold.

    Raises:
        Refused: not JSON, a field missing, unknown or of the wrong type, a year that nobody means.
    """
    try:
        record = msgspec.json.decode(octets, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{type_.__name__}: {error}") from None
    check_years(record)
    return record


def check_years(value: object) -> None:
    """Refuse times at the ends of the calendar, which cannot be moved to UTC, wherever they are."""
    if isinstance(value, datetime):
        if value.year not in _YEARS:
            raise Refused(f"the year {value.year} is none that a clock shows")
    elif isinstance(value, msgspec.Struct):
        check_years([getattr(value, name) for name in value.__struct_fields__])
    elif isinstance(value, Mapping):
        check_years(value.values())
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            check_years(each)


def epoch_seconds(moment: datetime) -> int:
    """Return the whole seconds from 1970 to a moment, in integers from end to end."""
    return (moment - _EPOCH) // _SECOND


class _Addressed(Protocol):
    @property
    def gateway(self) -> str: ...


_A = TypeVar("_A", bound=_Addressed)


def addressed_to(record: _A, gateway: str) -> _A:
    """Return the record if it is meant for this gateway.

    Raises:
        Refused: it names another gateway.
    """
    if record.gateway != gateway:
        raise Refused(f"{type(record).__name__} for gateway {record.gateway!r}, not {gateway!r}")
    return record
