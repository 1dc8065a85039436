"""Since when captures of a meter's profile are expected: from the first that was stored.

Two put this on record: ingest as it stores, and the gap ledger as it looks. Neither undoes what the
other, or a gateway's announcement, has written. Nor does either expect again what was erased: a row
of before an erasure that comes after it, from a gateway's outbox or a backfill under way, does not
make the meter be asked for those beside it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Erasure, MeterProfile
from hesper_cloud.db.upserts import insert_several

LEARNED = "learned"

_EARLIER = (
    update(MeterProfile)
    .where(
        MeterProfile.meter == bindparam("of"),
        MeterProfile.profile == bindparam("its"),
        MeterProfile.expected_from > bindparam("first_at"),
    )
    .values(expected_from=bindparam("first_at"))
)


def add(session: Session, profile: str, firsts: Mapping[str, int]) -> None:
    """Adds the profile of meters that have no row of it.

    Args:
        session: In a writing transaction.
        profile: Logical name.
        firsts: By meter its first capture, epoch seconds.
    """
    same = {"profile": profile, "source": LEARNED}
    moments = _moments(session, firsts)
    rows = [{"meter": meter, "expected_from": at, **same} for meter, at in moments]
    insert_several(session, MeterProfile, rows)


def move_back(session: Session, profile: str, firsts: Mapping[str, int]) -> None:
    """Expects captures from earlier on than before, never from later on; arguments as for `add`."""
    rows: list[dict[str, Any]] = [
        {"of": meter, "its": profile, "first_at": at} for meter, at in _moments(session, firsts)
    ]
    if rows:
        session.connection().execute(_EARLIER, rows)


def erased(session: Session) -> dict[str, datetime]:
    """Returns the meters that were erased or are to be, and until when nothing is expected.

    That is when it was done, or the end of the time that was erased.
    """
    rows = session.execute(
        select(Erasure.meter, Erasure.to_at, Erasure.finished_at, Erasure.ordered_at)
    )
    found: dict[str, datetime] = {}
    for meter, to_at, finished_at, ordered_at in rows:
        at = to_at or finished_at or ordered_at
        found[meter] = max(at, found.get(meter, at))
    return found


def _moments(session: Session, firsts: Mapping[str, int]) -> Iterable[tuple[str, datetime]]:
    gone = erased(session)
    for meter, first in firsts.items():
        at = datetime.fromtimestamp(first, UTC)
        yield meter, max(at, gone.get(meter, at))
