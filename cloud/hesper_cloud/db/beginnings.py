"""Since when captures of a meter's profile are expected: from the first that was stored.

Two put this on record: ingest as it stores, and the gap ledger as it looks. Neither undoes what the
other, or a gateway's announcement, has written.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import MeterProfile
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
    rows = [{"meter": meter, "expected_from": at, **same} for meter, at in _moments(firsts)]
    insert_several(session, MeterProfile, rows)


def move_back(session: Session, profile: str, firsts: Mapping[str, int]) -> None:
    """Expects captures from earlier on than before, never from later on; arguments as for `add`."""
    rows: list[dict[str, Any]] = [
        {"of": meter, "its": profile, "first_at": at} for meter, at in _moments(firsts)
    ]
    if rows:
        session.connection().execute(_EARLIER, rows)


def _moments(firsts: Mapping[str, int]) -> Iterable[tuple[str, datetime]]:
    return ((meter, datetime.fromtimestamp(first, UTC)) for meter, first in firsts.items())
