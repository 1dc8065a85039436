"""The doubled hour of autumn, of meters that never set the daylight-saving bit.

Such a meter follows local time and writes neither a deviation nor the bit, so that both hours read
as winter time. Where a buffer holds both, the seam shows: local time steps back, and goes on with
just the row that is due if the first hour was summer time. By any other step back a clock was set,
and the bit is believed; so it is where a row of that hour has the bit, or does not tell it.

Where a buffer is read within the first hour there is no seam yet. Then its rows read as if they
were still to come, and so do not belong to the second. Rows that no period keeps apart never show a
seam: they stay where their clocks put them, whenever they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

from hesper_dlms.cosem_time import AMBIGUOUS, BY_BIT, BY_ORDER, DAYLIGHT_SAVING
from hesper_dlms.profile.columns import COUNTED, ProfileColumns

DOUBLED = frozenset({AMBIGUOUS, BY_BIT, BY_ORDER})
"""How times of the doubled hour are found."""
_SLACK_S = 5
"""How much later than the meter's present a row may read: clocks show whole seconds."""


def doubled_around(moment: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the first and the last whole second of the doubled hour that a moment lies in.

    Both are in the zone; any other moment is both by itself.
    """
    local = moment.astimezone(zone)
    before, after = local.replace(fold=0), local.replace(fold=1)
    length = (before.utcoffset() or timedelta()) - (after.utcoffset() or timedelta())
    if length <= timedelta():
        return local, local
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        is_before = datetime.fromtimestamp(middle, zone).utcoffset() == before.utcoffset()
        low, high = (middle, high) if is_before else (low, middle)
    set_back = datetime.fromtimestamp(high, UTC)
    first, last = set_back - length, set_back + length - timedelta(seconds=1)
    return first.astimezone(zone), last.astimezone(zone)


def place_by_order(
    found: ProfileColumns,
    doubled: Sequence[int],
    step_s: int,
    zone: tzinfo,
    present_s: float | None = None,
) -> None:
    """Move the rows of the first hour to where they belong, if it can be told which they are.

    Args:
        found: Rows as their clocks read.
        doubled: Indexes of those whose time lies in a doubled hour, ascending.
        step_s: The capture period; negative where the newest row comes first.
        zone: The meter's.
        present_s: The meter's time when they were read, epoch seconds.
    """
    for rows in _by_hour(found.captured_at, doubled, zone):
        if step_s == 0 or any(found.clock_status[row] & DAYLIGHT_SAVING for row in rows):
            continue
        hour_s = _length_s(found.captured_at[rows[0]], zone)
        steps = {row: found.captured_at[row] - found.captured_at[row - 1] for row in rows[1:]}
        seams = [row for row, by_s in steps.items() if _is_seam(by_s, step_s, hour_s)]
        first_hour = range(0)
        if len(seams) == 1:
            first_hour = _first_hour(found.how, rows, seams[0], step_s)
        elif not seams and present_s is not None:
            first_hour = _still_to_come(found, rows, present_s + _SLACK_S)
        if not first_hour:
            continue
        for row in first_hour:
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
    return range(rows[0], seam) if step_s > 0 else range(seam, _end(how, rows))


def _still_to_come(found: ProfileColumns, rows: Sequence[int], latest_s: float) -> range:
    """Return all rows of an hour, with those counted on, if the newest reads as still to come."""
    together = range(rows[0], _end(found.how, rows))
    newest = max(found.captured_at[row] for row in together)
    return together if newest > latest_s else range(0)


def _end(how: Sequence[str], rows: Sequence[int]) -> int:
    end = rows[-1] + 1
    while end < len(how) and how[end] == COUNTED:
        end += 1
    return end
