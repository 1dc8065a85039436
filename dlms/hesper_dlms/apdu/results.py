"""The result codes of services and the optional results they share (IEC 62056-5-3, clause 8.5)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8
from hesper_dlms.errors import ServiceError


class DataAccessResult(IntEnum):
    """data-access-result: how a GET, SET or the reading of a return value went."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_GET_ABORTED = 15
    NO_LONG_GET_IN_PROGRESS = 16
    LONG_SET_ABORTED = 17
    NO_LONG_SET_IN_PROGRESS = 18
    DATA_BLOCK_NUMBER_INVALID = 19
    OTHER_REASON = 250


class ActionResult(IntEnum):
    """action-result: how an ACTION went."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_ACTION_ABORTED = 15
    NO_LONG_ACTION_IN_PROGRESS = 16
    OTHER_REASON = 250


Result = bytes | int
"""get-data-result: the octets of an A-XDR value, or a data-access-result code."""


def name_of(table: type[IntEnum], code: int) -> str:
    """Return `read-write-denied` for a code of a table, empty for one that is not in it."""
    try:
        return table(code).name.lower().replace("_", "-")
    except ValueError:
        return ""


def access_error(code: int) -> ServiceError:
    """Return the error of a data-access-result."""
    return ServiceError(code, "data-access-result", name_of(DataAccessResult, code))


def action_error(code: int) -> ServiceError:
    """Return the error of an action-result."""
    return ServiceError(code, "action-result", name_of(ActionResult, code))


def write_result(result: Result) -> bytes:
    """Return a get-data-result."""
    if isinstance(result, bytes):
        return b"\x00" + result
    return u8(1, result)


def read_result(reader: Reader) -> Result:
    """Read a get-data-result that others may follow."""
    if reader.choice(2):
        return reader.u8()
    return reader.data_octets()


class ActionOutcome(NamedTuple):
    """action-response-with-optional-data: an action-result and what was returned, if anything."""

    result: int
    returned: Result | None = None


def write_outcome(outcome: ActionOutcome) -> bytes:
    """Return an action-response-with-optional-data."""
    returned = outcome.returned
    return u8(outcome.result) + (b"\x00" if returned is None else b"\x01" + write_result(returned))


def read_outcome(reader: Reader) -> ActionOutcome:
    """Read an action-response-with-optional-data that others may follow."""
    result = reader.u8()
    return ActionOutcome(result, read_result(reader) if reader.flag() else None)


def write_outcomes(outcomes: Sequence[ActionOutcome]) -> bytes:
    """Return a list of outcomes, as a with-list response and its blocks carry it."""
    return axdr.write_length(len(outcomes)) + b"".join(map(write_outcome, outcomes))


def read_outcomes(octets: bytes) -> tuple[ActionOutcome, ...]:
    """Read a list of outcomes that fills `octets`."""
    reader = Reader(octets)
    outcomes = tuple(read_outcome(reader) for _ in range(reader.count()))
    reader.end()
    return outcomes
