"""JSON bodies as typed records: one way to write them, one strict way to read them."""

from datetime import datetime
from typing import Annotated, Protocol, TypeVar

import msgspec

from hesper_contracts.frame import Refused

UtcTime = Annotated[datetime, msgspec.Meta(tz=True)]
_T = TypeVar("_T")


def encode(record: object) -> bytes:
    """Return the JSON octets of a record; times are RFC 3339."""
    return msgspec.json.encode(record)


def decode(octets: bytes, type_: type[_T]) -> _T:
    """Return the record that JSON octets hold.

    Raises:
        Refused: not JSON, a field missing, unknown or of the wrong type.
    """
    try:
        return msgspec.json.decode(octets, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{type_.__name__}: {error}") from None


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
