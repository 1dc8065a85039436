"""Since when captures of a meter's profile are expected: from the first that was stored.

Two put this on record: ingest as it stores, and the gap ledger as it looks. Neither undoes what the
other, or a gateway's announcement, has written. Nor does either expect again what was erased: a row
of before an erasure that comes after it, from a gateway's outbox or a backfill under way, does not
make the meter be asked for those beside it.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Erasure, MeterProfile
from hesper_cloud.db.upserts import lower_each

LEARNED = "learned"


def expect(session: Session, profile: str, firsts: Mapping[str, int]) -> None:
    """Expects captures of meters from their first on, or from before; never from later on.

    Args:
        session: In a writing transaction.
        profile: Logical name.
        firsts: By meter its first capture, epoch seconds.
    """
    by_moment: dict[datetime, list[str]] = {}
    for meter, at in _moments(session, firsts):
        by_moment.setdefault(at, []).append(meter)
    for at, meters in by_moment.items():
        same = {"profile": profile, "source": LEARNED, "expected_from": at}
        lower_each(session, MeterProfile, ("meter", meters), same, "expected_from")


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
