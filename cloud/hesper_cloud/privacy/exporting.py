"""The export of one person's data as long work: the process that holds the store does it.

The file waits for whoever asked; the daily clean-up takes what nobody has fetched within a day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.assets.holdings import holdings
from hesper_cloud.cleaning import PERSONS
from hesper_cloud.db.engines import reading
from hesper_cloud.db.long_jobs import LongJob
from hesper_cloud.db.privacy import DataAccess
from hesper_cloud.long_jobs.kinds import Effect, JobFailed, Progress, Work
from hesper_cloud.privacy.collecting import Kept, begun, write_all
from hesper_cloud.worded import worded

KIND = "person export"
DOOR = "command line"


def file_of(state: Path, job_id: int) -> Path:
    """Returns where the file of a job lies until it is fetched."""
    return state / PERSONS / f"export-{job_id}.zip"


def discard(registry: Engine, state: Path, customer_id: int) -> int:
    """Removes what was made of a customer and not fetched, or half; returns how many files."""
    jobs = select(LongJob.id, LongJob.parameters).where(LongJob.kind == KIND)
    with reading(registry) as session:
        own = [number for number, told in session.execute(jobs) if told["customer"] == customer_id]
    made = [file_of(state, number) for number in own]
    there = [path for path in (*made, *map(begun, made)) if path.exists()]
    for path in there:
        path.unlink(missing_ok=True)
    return len(there)


@dataclass(frozen=True, slots=True)
class PersonExports:
    """Makes the file in one portion; made again after a crash, it is the same but for the time."""

    kept: Kept
    state: Path
    clock: Callable[[], datetime]
    name: str = KIND
    lane: str = "persons"

    def prepare(self, work: Work) -> Effect:
        """Writes the file of the customer that the parameters name."""
        customer_id, at = work.parameters["customer"], self.clock()
        try:
            counts = write_all(self.kept, customer_id, file_of(self.state, work.id), at)
        except OSError as error:
            raise JobFailed(
                worded("the file cannot be written: {strerror}", strerror=error.strerror)
            ) from None
        total = sum(counts.values())

        def effect(session: Session) -> Progress:
            looked(session, customer_id, work.asked_by, at)
            return Progress(total, total, None, dict(counts))

        return effect


def looked(session: Session, customer_id: int, who: str, at: datetime) -> None:
    """Writes down that somebody took all of a person's data along."""
    for meter in sorted({each.meter for each in holdings(session, customer_id)}):
        session.add(
            DataAccess(
                first_at=at, last_at=at, count=1, who=who, door=DOOR, operation=KIND, meter=meter
            )
        )
