"""What captures tell of meters' profiles, on its way into the registry.

What a gateway has announced in the meantime is never overwritten by what was learned before it.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from sqlalchemy import Engine, bindparam, or_, update
from sqlalchemy.orm import Session

from hesper_cloud.db import beginnings
from hesper_cloud.db.beginnings import LEARNED
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.gaps.rows import PER_TRANSACTION
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
    """Collects, by meter: profiles that are new, captures from before, and periods."""

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self.new: dict[str, int] = {}
        self.earlier: dict[str, int] = {}
        self.periods: dict[str, int] = {}

    def write(self, engine: Engine) -> None:
        """Writes it all, a few hundred meters to a transaction."""
        for items, written in (
            (self.new.items(), self._insert),
            (self.earlier.items(), self._set_since),
            (self.periods.items(), self._set_period),
        ):
            _in_parts(engine, items, written)

    def _insert(self, session: Session, part: list[tuple[str, int]]) -> None:
        beginnings.add(session, self._profile, dict(part))

    def _set_since(self, session: Session, part: list[tuple[str, int]]) -> None:
        beginnings.move_back(session, self._profile, dict(part))

    def _set_period(self, session: Session, part: list[tuple[str, int]]) -> None:
        rows = [{**self._of(meter), "period_s": period_s} for meter, period_s in part]
        session.connection().execute(_EVERY, rows)
        if self._profile == LOAD_PROFILE:
            of_meters = [{"of": meter, "period_s": period_s} for meter, period_s in part]
            session.connection().execute(_METER_EVERY, of_meters)

    def _of(self, meter: str) -> dict[str, Any]:
        return {"of": meter, "its": self._profile}


def _in_parts(
    engine: Engine,
    items: Iterable[tuple[str, int]],
    written: Callable[[Session, list[tuple[str, int]]], None],
) -> None:
    remaining = iter(items)
    while part := list(islice(remaining, PER_TRANSACTION)):
        with writing(engine) as session:
            written(session, part)
