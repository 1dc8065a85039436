"""Of which meters readings are kept apart, on record before they are stored.

One row for each gateway, meter and profile, among what rules remember: the gateway after the mark
stands for the rule, which no rule's name can. So whoever commissions the meter behind that gateway,
however late, has its readings taken over (`hesper_cloud.ingest.adoption`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import writing
from hesper_cloud.db.rules import RuleMemory
from hesper_cloud.db.upserts import insert_several
from hesper_cloud.rules.book import WAITING

_MARK = "@"


class Kept(NamedTuple):
    """What a gateway said of a profile of a meter that is behind another one."""

    gateway: str
    meter: str
    profile: str


def note(engine: Engine, kept: Iterable[Kept]) -> None:
    """Puts on record that there are such readings; to be called before they are stored."""
    now = datetime.now(UTC)
    rows = [
        {**_key(each), "phase": WAITING, "since": now, "facts": {}}
        for each in sorted(dict.fromkeys(kept))
    ]
    if rows:
        with writing(engine) as session:
            insert_several(session, RuleMemory, rows)


def noted(session: Session) -> list[Kept]:
    """Returns all that is on record."""
    query = select(RuleMemory.rule, RuleMemory.subject).where(RuleMemory.rule.startswith(_MARK))
    found = []
    for rule, subject in session.execute(query):
        meter, _, profile = subject.partition("/")
        found.append(Kept(rule.removeprefix(_MARK), meter, profile))
    return found


def forget(session: Session, kept: Kept) -> None:
    """Takes one off the record."""
    session.execute(delete(RuleMemory).filter_by(**_key(kept)))


def _key(kept: Kept) -> dict[str, str]:
    return {"rule": f"{_MARK}{kept.gateway}", "subject": f"{kept.meter}/{kept.profile}"}
