"""The doubled hour of autumn, of meters that never set the daylight-saving bit.

Such a meter follows local time and writes neither a deviation nor the bit, so that both hours read
as winter time. Where a buffer holds both, the seam shows: local time steps back, and goes on with
just the row that is due if the first hour was summer time. By any other step back a clock was set,
and the bit is believed; so it is where a row of that hour has the bit, or does not tell it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, tzinfo

from hesper_dlms.cosem_time import AMBIGUOUS, BY_BIT, BY_ORDER, DAYLIGHT_SAVING
from hesper_dlms.profile.columns import COUNTED, ProfileColumns

DOUBLED = frozenset({AMBIGUOUS, BY_BIT, BY_ORDER})
"""How times of the doubled hour are found."""


def place_by_order(
    found: ProfileColumns, doubled: Sequence[int], step_s: int, zone: tzinfo
) -> None:
    """Move the rows of the first hour to where they belong, if the order tells which they are.

    Args:
        found: Rows as their clocks read.
        doubled: Indexes of those whose time lies in a doubled hour, ascending.
        step_s: The capture period; negative where the newest row comes first.
        zone: The meter's.
    """
    for rows in _by_hour(found.captured_at, doubled, zone):
        if any(found.clock_status[row] & DAYLIGHT_SAVING for row in rows):
            continue
        hour_s = _length_s(found.captured_at[rows[0]], zone)
        steps = {row: found.captured_at[row] - found.captured_at[row - 1] for row in rows[1:]}
        seams = [row for row, by_s in steps.items() if _is_seam(by_s, step_s, hour_s)]
        if len(seams) != 1:
            continue
        for row in _first_hour(found.how, rows, seams[0], step_s):
            if found.how[row] in (BY_BIT, COUNTED):
                found.captured_at[row] -= hour_s
        for row in rows:
            found.how[row] = BY_ORDER


def _by_hour(
    captured_at: Sequence[int], doubled: Iterable[int], zone: tzinfo
) -> Iterable[list[int]]:
    """Return the rows of each doubled hour; a day has one at most."""
    hours: dict[date, list[int]] = {}
    for row in doubled:
        hours.setdefault(datetime.fromtimestamp(captured_at[row], zone).date(), []).append(row)
    return hours.values()


def _length_s(epoch_s: int, zone: tzinfo) -> int:
    """Return how far the clocks are set back, in seconds."""
    local = datetime.fromtimestamp(epoch_s, zone)
    return int(local.replace(fold=1).timestamp() - local.replace(fold=0).timestamp())


def _is_seam(by_s: int, step_s: int, hour_s: int) -> bool:
    """Whether one hour ends and the other begins between two rows that lie ``by_s`` apart."""
    forward_s, period_s = (by_s, step_s) if step_s > 0 else (-by_s, -step_s)
    return forward_s <= 0 and 2 * abs(forward_s + hour_s - period_s) < period_s


def _first_hour(how: Sequence[str], rows: Sequence[int], seam: int, step_s: int) -> range:
    """Return the rows of the first hour, with those that were counted on from its last."""
    if step_s > 0:
        return range(rows[0], seam)
    end = rows[-1] + 1
    while end < len(how) and how[end] == COUNTED:
        end += 1
    return range(seam, end)
