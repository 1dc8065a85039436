"""Rows of the table of imports, and what is shown of them."""

import hashlib
from datetime import datetime

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.db.imports import ImportFile
from hesper_cloud.db.long_jobs import LongJob
from hesper_cloud.imports.trying import Brought, Trial
from hesper_cloud.services.import_records import ImportView, ProblemCount
from hesper_cloud.services.jobs import job_row


def import_row(
    import_id: str, actor: Actor, brought: Brought, trial: Trial, at: datetime
) -> ImportFile:
    """Returns the row of a file that was brought and tried."""
    told: dict[str, str | None] = {"encoding": trial.encoding, "separator": trial.separator}
    told |= {"dates": brought.habits.dates, "decimal": brought.habits.decimal}
    return ImportFile(
        id=import_id,
        kind=brought.kind,
        name=brought.name,
        brought_by=actor.username,
        brought_at=at,
        sha256=hashlib.sha256(brought.octets).hexdigest(),
        octets=len(brought.octets),
        reading=told,
        existing="update" if brought.updates else "refuse",
        row_count=trial.row_count,
        good_count=trial.good_count,
        change_count=trial.change_count,
        same_count=trial.same_count,
        problems=dict(trial.problems.most_common()),
    )


def import_view(file: ImportFile, job: LongJob | None) -> ImportView:
    """Returns a file as services give it out, with the job that applies it."""
    counts = [(*place.split(" "), count) for place, count in file.problems.items()]
    return ImportView(
        id=file.id,
        kind=file.kind,
        name=file.name,
        brought_by=file.brought_by,
        brought_at=file.brought_at,
        sha256=file.sha256,
        octets=file.octets,
        encoding=file.reading["encoding"],
        separator=file.reading["separator"],
        existing=file.existing,
        row_count=file.row_count,
        good_count=file.good_count,
        change_count=file.change_count,
        same_count=file.same_count,
        bad_count=file.row_count - file.good_count,
        problems=tuple(
            ProblemCount(column, code, count)
            for column, code, count in sorted(counts, key=lambda each: -each[2])
        ),
        job=None if job is None else job_row(job),
        removed=file.removed_at is not None,
    )
