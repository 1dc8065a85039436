"""What captures tell of meters' profiles, on its way into the registry.

What a gateway has announced in the meantime is never overwritten by what was learned before it.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Engine, bindparam, or_, update
from sqlalchemy.orm import Session

from hesper_cloud.db import beginnings
from hesper_cloud.db.beginnings import LEARNED
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.gaps.rows import PER_TRANSACTION
from hesper_cloud.giving_way import GivesWay
from hesper_cloud.quantities import LOAD_PROFILE

_EVERY = (
    update(MeterProfile)
    .where(
        MeterProfile.meter == bindparam("of"),
        MeterProfile.profile == bindparam("its"),
        or_(MeterProfile.capture_period_s.is_(None), MeterProfile.source == LEARNED),
    )
    .values(capture_period_s=bindparam("period_s"))
)
_METER_EVERY = (
    update(Meter)
    .where(Meter.id == bindparam("of"), Meter.capture_period_s.is_(None))
    .values(capture_period_s=bindparam("period_s"))
)


class Learned:
    """Collects, by meter: first captures, where they are news, and periods."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self.firsts: dict[str, int] = {}
        self.periods: dict[str, int] = {}

    def write(self, engine: Engine, giving_way: GivesWay) -> None:
        """Writes it all, a few hundred meters to a transaction, and forgets it."""
        for learned, written in (
            (self.firsts, self._expect),
            (self.periods, self._set_period),
        ):
            for part in giving_way.portions(_parts(learned.items())):
                with writing(engine) as session:
                    written(session, part)
            learned.clear()

    def _expect(self, session: Session, part: list[tuple[str, int]]) -> None:
        beginnings.expect(session, self._profile, dict(part))

    def _set_period(self, session: Session, part: list[tuple[str, int]]) -> None:
        rows = [{**self._of(meter), "period_s": period_s} for meter, period_s in part]
        session.connection().execute(_EVERY, rows)
        if self._profile == LOAD_PROFILE:
            of_meters = [{"of": meter, "period_s": period_s} for meter, period_s in part]
            session.connection().execute(_METER_EVERY, of_meters)

    def _of(self, meter: str) -> dict[str, Any]:
        return {"of": meter, "its": self._profile}


def _parts(items: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    remaining = iter(items)
    while part := list(islice(remaining, PER_TRANSACTION)):
        yield part
