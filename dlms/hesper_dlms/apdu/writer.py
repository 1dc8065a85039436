"""Integers and lists of an APDU that is built: what does not fit is `LocalError`."""

from __future__ import annotations

from collections.abc import Sequence

from hesper_dlms import axdr
from hesper_dlms.errors import LocalError


def _write(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise LocalError(f"{value} does not fit {8 * size} bits") from None


def u8(*values: int) -> bytes:
    """Return one octet for each value."""
    try:
        return bytes(values)
    except ValueError:
        raise LocalError(f"{values} do not fit octets") from None


def u16(value: int) -> bytes:
    """Return two octets."""
    return _write(value, 2)


def u32(value: int) -> bytes:
    """Return four octets."""
    return _write(value, 4)


def write_values(values: Sequence[bytes]) -> bytes:
    """Return a list of values that are encoded already."""
    return axdr.write_length(len(values)) + b"".join(values)
