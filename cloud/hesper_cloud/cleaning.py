"""The daily clean-up: what was kept for a time and is over.

Files of imports and reports go after their days; the rows that tell of them stay, without the rows
of people. What a process that was killed left half-made in those folders goes after a day, and so
does all data of a person that nobody has fetched. Events go where days are set for them, and what
is known of their batches as what the store knows of its own. So does work that is done, where days
are set for it: closed gaps, and what was asked of the authority, whose audit log tells of it.
"""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Engine,
    ScalarSelect,
    Select,
    delete,
    exists,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.db.engines import PER_QUERY, batched, reading, writing
from hesper_cloud.db.long_jobs import UNENDED, LongJob
from hesper_cloud.db.registry import (
    UNSETTLED,
    Backfill,
    BatchSeen,
    Event,
    Gap,
    ImportFile,
    ImportReject,
    Report,
    Request,
    WebSession,
)
from hesper_cloud.giving_way import NO_RESTS, GivesWay
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.folders import ids as import_ids
from hesper_cloud.reports.folders import SPOOL, folder_of
from hesper_cloud.reports.folders import ids as report_ids
from hesper_cloud.settings import Settings

PERSONS = "persons"
"""Folder of the state in which all data of a person waits for whoever has asked for it."""
_HALF_MADE = timedelta(days=1)


class CleanUp:
    """Removes what is over; a turn that was interrupted is made good by the next."""

    def __init__(
        self,
        registry: Engine,
        settings: Settings,
        clock: Callable[[], datetime],
        giving_way: GivesWay = NO_RESTS,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._giving_way = giving_way

    def turn(self) -> None:
        """Cleans up once."""
        now, kept = self._clock(), self._settings.clean_up
        with writing(self._registry) as session:
            session.execute(delete(WebSession).where(~WebSession.lasts(now)))
        self._imports(now - timedelta(days=kept.import_days))
        self._reports(now - timedelta(days=kept.report_days))
        self._half_made(now - _HALF_MADE)
        self._persons(now - _HALF_MADE)
        if kept.event_days:
            self._stored(now - timedelta(days=kept.event_days), Event.stored_at, Event.id)
        if kept.work_days:
            for over in _work(now - timedelta(days=kept.work_days)):
                self._done(over)
        seen_days = timedelta(days=self._settings.store.retention.batch_days)
        key = BatchSeen.gateway, BatchSeen.epoch, BatchSeen.sequence
        self._stored(now - seen_days, BatchSeen.stored_at, *key)

    def _stored(
        self,
        before: datetime,
        stored_at: InstrumentedAttribute[datetime],
        *key: InstrumentedAttribute[Any],
    ) -> None:
        """Removes rows that were stored before a moment, a part at a time: there may be millions.

        Args:
            before: The moment.
            stored_at: The column that says when.
            key: The columns of the primary key.
        """
        oldest = select(*key).where(stored_at < before).limit(PER_QUERY)
        part = delete(stored_at.class_).where(tuple_(*key).in_(oldest))
        for _ in self._giving_way.portions(repeat(None)):
            with writing(self._registry) as session:
                if session.connection().execute(part).rowcount < PER_QUERY:
                    return

    def _done(self, over: Select[int]) -> None:
        """Removes rows by their ids; they are looked for where nobody waits to write."""
        row = over.column_descriptions[0]["entity"]
        for _ in self._giving_way.portions(repeat(None)):
            ids = self._ids(over.limit(PER_QUERY))
            with writing(self._registry) as session:
                session.execute(delete(row).where(row.id.in_(over.where(row.id.in_(ids)))))
            if len(ids) < PER_QUERY:
                return

    def _imports(self, before: datetime) -> None:
        """Lets go of files, those excepted whose rows a job still enters; the files go last."""
        query = (
            select(ImportFile.id)
            .outerjoin(LongJob, LongJob.id == ImportFile.job_id)
            .where(ImportFile.removed_at.is_(None), ImportFile.brought_at < before)
            .where(LongJob.state.is_(None) | LongJob.state.not_in(UNENDED))
        )
        with writing(self._registry) as session:
            over = session.scalars(query).all()
            for some in batched(over):
                brought = update(ImportFile).where(ImportFile.id.in_(some))
                session.execute(brought.values(removed_at=self._clock()))
                session.execute(delete(ImportReject).where(ImportReject.import_id.in_(some)))
        for import_id in over:
            Folder(self._settings.state, import_id).remove()

    def _reports(self, before: datetime) -> None:
        query = select(Report.id).where(Report.removed_at.is_(None), Report.made_at < before)
        for report_id in self._ids(query):
            with reading(self._registry) as session:
                job = session.get_one(Report, report_id).job_id
            shutil.rmtree(folder_of(self._settings.state, job), ignore_errors=True)

            def forget(session: Session, report_id: object = report_id) -> None:
                session.get_one(Report, report_id).removed_at = self._clock()

            self._write(forget)

    def _half_made(self, before: datetime) -> None:
        """Removes what nobody needs: dry runs and reports that never ended, spools of others.

        What is left of an import that a clean-up was killed over goes with them.
        """
        state = self._settings.state
        with reading(self._registry) as session:
            kept = select(ImportFile.id).where(ImportFile.removed_at.is_(None))
            tried = set(session.scalars(kept))
            reported = set(session.scalars(select(Report.job_id)))
            working = set(session.scalars(select(LongJob.id).where(LongJob.state.in_(UNENDED))))
        for import_id in import_ids(state):
            folder = Folder(state, import_id).path
            if import_id not in tried and _is_older(folder, before):
                shutil.rmtree(folder, ignore_errors=True)
        for job in report_ids(state):
            folder = folder_of(state, job)
            if job in working or not _is_older(folder, before):
                continue
            if job in reported:
                (folder / SPOOL).unlink(missing_ok=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def _persons(self, before: datetime) -> None:
        for path in (self._settings.state / PERSONS).glob("*"):
            if _is_older(path, before):
                path.unlink(missing_ok=True)

    def _ids(self, query: Select[Any]) -> list[Any]:
        with reading(self._registry) as session:
            return list(session.scalars(query))

    def _write(self, change: Callable[[Session], None]) -> None:
        with writing(self._registry) as session:
            change(session)


def _work(before: datetime) -> tuple[Select[int], ...]:
    """Returns what asks for the ids of work that was over before a moment.

    A backfill stays while a gap names it. The newest row of each table does, too, whatever its age:
    SQLite gives the number of a last row that went away to the next one.
    """
    named = exists().where(Gap.backfill_id == Backfill.id)
    return (
        select(Gap.id).where(
            Gap.state == "closed", Gap.closed_at < before, Gap.id < _newest(Gap.id)
        ),
        select(Backfill.id).where(
            Backfill.state.in_(("done", "failed")),
            Backfill.asked_at < before,
            Backfill.id < _newest(Backfill.id),
            ~named,
        ),
        select(Request.id).where(
            Request.state.not_in(UNSETTLED),
            Request.created_at < before,
            Request.id < _newest(Request.id),
        ),
    )


def _newest(key: InstrumentedAttribute[int]) -> ScalarSelect[int | None]:
    return select(func.max(key)).correlate(None).scalar_subquery()


def _is_older(path: Path, before: datetime) -> bool:
    return path.exists() and path.stat().st_mtime < before.timestamp()
