"""A decoded buffer: its rows as columns."""

from __future__ import annotations

from dataclasses import dataclass, field

from hesper_dlms.profile.cells import Cell

COUNTED = "counted"
"""How a time was found: one capture period from the row before."""


@dataclass(slots=True)
class ProfileColumns:
    """A decoded buffer, rows in the meter's order.

    captured_at: epoch seconds, UTC.
    clock_status: the clock's status octet of each row, 255 when not specified.
    deviation: minutes from the meter's local time to UTC of each row as the meter wrote it, None
        when not specified.
    how: how each time was found: as in `hesper_dlms.cosem_time.Resolved`, or `counted`.
    columns: one list per capture object, in their order; the clock's own is `captured_at` again.
    undated: rows left out because their clock names no instant.
    """

    captured_at: list[int] = field(default_factory=list)
    clock_status: list[int] = field(default_factory=list)
    columns: list[list[Cell]] = field(default_factory=list)
    undated: int = 0
    deviation: list[int | None] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
