"""Bulk import: files are tried, applied as one job, and their rejected rows given back."""

import asyncio
import logging
import secrets
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.imports import ImportFile
from hesper_cloud.db.long_jobs import LongJob
from hesper_cloud.imports import applying
from hesper_cloud.imports.columns import ImportKind, template
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.problems import NotASheet
from hesper_cloud.imports.rejected import changed, document, reason, rejected
from hesper_cloud.imports.trying import Brought, try_file
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, Refused, Unavailable
from hesper_cloud.services.import_records import (
    ChangedRow,
    FieldChange,
    ImportView,
    RejectedRow,
)
from hesper_cloud.services.import_rows import import_row, import_view
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import later, told_by, worded

log = logging.getLogger(__name__)

LONGEST_NAME = 200
MOST_PROBLEMS = 1000
_GONE = later("the file is not there any more; bring it again")
_ORDERS = Orders(
    {"brought_at": Order(ImportFile.brought_at, datetime)}, Order(ImportFile.id, str), "-brought_at"
)


ImportPage = tuple[list[ImportView], str | None]


class Imports:
    """Files of customers, meters and SIM cards; who sees some areas alone sees their own files."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link
        self._one_at_a_time = asyncio.Semaphore(1)

    def template(self, actor: Actor, kind: ImportKind) -> bytes:
        """Returns an empty file with the columns of a kind."""
        require(actor, Permission.READ)
        return template(kind)

    async def try_file(self, actor: Actor, brought: Brought) -> ImportView:
        """Tries a file: says of every row and column what is wrong. Changes no asset.

        Raises:
            Invalid: the file as a whole cannot be read; the text says what to do.
            Unavailable: it cannot be kept; nothing of it is.
        """
        require(actor, Permission.EDIT_ASSETS)
        if not 0 < len(brought.name) <= LONGEST_NAME or not brought.name.isprintable():
            raise Invalid(
                worded(
                    "a file's name has 1 to {longest_name} characters", longest_name=LONGEST_NAME
                )
            )
        import_id = secrets.token_hex(16)
        folder = Folder(self._sources.settings.state, import_id)
        async with self._one_at_a_time:
            try:
                trial = await asyncio.to_thread(
                    try_file, self._sources.registry, folder, brought, actor.areas
                )
            except NotASheet as error:
                raise Invalid(told_by(error)) from None
            except OSError as error:
                log.warning("an import cannot be kept in %s: %s", folder.path.parent, error)
                raise Unavailable(
                    worded(
                        "the file cannot be kept: {strerror}; make room on the head end's disk and "
                        "bring it again",
                        strerror=error.strerror,
                    )
                ) from None
        row = import_row(import_id, actor, brought, trial, self._sources.clock())

        def keep() -> None:
            with writing(self._sources.registry) as session:
                session.add(row)

        await asyncio.to_thread(keep)
        return import_view(row, None)

    async def apply(self, actor: Actor, import_id: str) -> ImportView:
        """Applies the good rows of a file as one job. Audited before it begins.

        Raises:
            NotFound: there is no such file.
            Refused: it is applied already, or nothing in it is good.
        """
        require(actor, Permission.EDIT_ASSETS)
        file = await self.get(actor, import_id)
        if file.job is not None:
            raise Refused(worded("job {job} applies this file already", job=file.job.id))
        if file.good_count == 0 or file.removed:
            raise Refused("there is no row to apply")
        payload = {
            "action": "import.apply",
            "subject": f"{file.kind} {file.name}",
            "after": f"{file.good_count} of {file.row_count} rows, {file.change_count} of them"
            f" change what is there, SHA-256 {file.sha256}",
        }
        await self._link.ask(actor, "audit.note", payload, f"import-{import_id}")
        areas = None if actor.areas is None else list(actor.areas)
        wish = Wish(
            applying.KIND,
            f"Import of {file.kind}: {file.name}",
            actor.username,
            {"import": import_id, "areas": areas},
            file.good_count,
        )

        def begin() -> None:
            with writing(self._sources.registry) as session:
                row = session.get_one(ImportFile, import_id)
                if row.job_id is not None:
                    raise Refused("a job applies this file already")
                if row.removed_at is not None:
                    raise NotFound(_GONE)
                row.job_id = ask(session, wish, self._sources.clock())

        await asyncio.to_thread(begin)
        return await self.get(actor, import_id)

    async def get(self, actor: Actor, import_id: str) -> ImportView:
        """Returns one file.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        file = await asyncio.to_thread(self._file, actor, import_id)
        return await asyncio.to_thread(self._viewed, file)

    async def page(self, actor: Actor, asked: Asked) -> ImportPage:
        """Returns files, newest first, and the cursor of the next page."""
        _require_reader(actor)

        def load() -> ImportPage:
            with reading(self._sources.registry) as session:
                rows, following = _ORDERS.page(session, _seen(actor), asked)
                return [import_view(row, _job(session, row)) for row in rows], following

        return await asyncio.to_thread(load)

    async def rejected(
        self, actor: Actor, import_id: str, offset: int, limit: int
    ) -> list[RejectedRow]:
        """Returns refused rows in the order of the file, those of the job among them.

        Raises:
            NotFound: there is no such file, or it was removed.
        """
        file = await asyncio.to_thread(self._kept, actor, import_id)
        state, registry = self._sources.settings.state, self._sources.registry

        def load() -> list[RejectedRow]:
            end = offset + min(limit, MOST_PROBLEMS)
            return [
                RejectedRow(**each, reason=reason(each["problems"]))
                for each in islice(rejected(registry, state, file), offset, end)
            ]

        return await asyncio.to_thread(load)

    async def changes(
        self, actor: Actor, import_id: str, offset: int, limit: int
    ) -> list[ChangedRow]:
        """Returns the good rows that change what is there, each with what the dry run compared.

        Raises:
            NotFound: there is no such file, or it was removed.
        """
        file = await asyncio.to_thread(self._kept, actor, import_id)
        state = self._sources.settings.state

        def load() -> list[ChangedRow]:
            rows = islice(changed(state, file), offset, offset + min(limit, MOST_PROBLEMS))
            return [
                ChangedRow(
                    row["row"], row["asset"], tuple(FieldChange(**each) for each in row["changes"])
                )
                for row in rows
            ]

        return await asyncio.to_thread(load)

    async def rejected_file(self, actor: Actor, import_id: str) -> tuple[str, Iterator[bytes]]:
        """Returns the name of the rejected rows' file, and its octets part by part.

        Raises:
            NotFound: there is no such file, or it was removed.
        """
        file = await asyncio.to_thread(self._kept, actor, import_id)
        octets = document(self._sources.registry, self._sources.settings.state, file)
        return f"rejected-{file.kind}-{import_id[:8]}.csv", octets

    def _file(self, actor: Actor, import_id: str) -> ImportFile:
        _require_reader(actor)
        with reading(self._sources.registry) as session:
            row: ImportFile | None = session.scalar(_seen(actor).where(ImportFile.id == import_id))
        if row is None:
            raise NotFound(worded("there is no import {import_id}", import_id=import_id[:40]))
        return row

    def _kept(self, actor: Actor, import_id: str) -> ImportFile:
        """Returns a file whose rows are there: of one that was removed nothing is known of them."""
        row = self._file(actor, import_id)
        if row.removed_at is not None:
            raise NotFound(_GONE)
        return row

    def _viewed(self, file: ImportFile) -> ImportView:
        with reading(self._sources.registry) as session:
            return import_view(file, _job(session, file))


def _require_reader(actor: Actor) -> None:
    """Lets those see files who may bring them, and those who look at everything."""
    if not actor.may(Permission.READ_AUDIT):
        require(actor, Permission.EDIT_ASSETS)


def _seen(actor: Actor) -> Select[ImportFile]:
    query = select(ImportFile)
    return query if actor.areas is None else query.where(ImportFile.brought_by == actor.username)


def _job(session: Session, file: ImportFile) -> LongJob | None:
    return None if file.job_id is None else session.get(LongJob, file.job_id)
