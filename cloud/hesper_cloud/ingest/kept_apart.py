"""Of which meters readings are kept apart, on record before they are stored.

So whoever commissions the meter behind that gateway, however late, has its readings taken over
(`hesper_cloud.ingest.adoption`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import writing
from hesper_cloud.db.kept_apart import KeptApart
from hesper_cloud.db.upserts import insert_several


class Kept(NamedTuple):
    """What a gateway said of a profile of a meter that is behind another one."""

    gateway: str
    meter: str
    profile: str


def note(engine: Engine, kept: Iterable[Kept]) -> None:
    """Puts on record that there are such readings; to be called before they are stored."""
    rows = [each._asdict() for each in sorted(set(kept))]
    if rows:
        with writing(engine) as session:
            insert_several(session, KeptApart, rows)


def noted(session: Session) -> list[Kept]:
    """Returns all that is on record."""
    query = select(KeptApart.gateway, KeptApart.meter, KeptApart.profile)
    return [Kept(*row) for row in session.execute(query)]


def forget(session: Session, kept: Kept) -> None:
    """Takes one off the record."""
    session.execute(delete(KeptApart).filter_by(**kept._asdict()))
