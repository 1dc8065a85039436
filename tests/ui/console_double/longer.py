"""Imports, jobs and reports of the double: the cloud's own, on a registry of their own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.db.authority import AuthorityBase
from hesper_cloud.db.base import RegistryBase
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Area, Gateway, Meter, ScheduledRun
from hesper_cloud.imports.applying import Applying
from hesper_cloud.latest import LatestValues
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.reports.making import Making
from hesper_cloud.reports.tables import Shelves
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.import_records import ImportView
from hesper_cloud.services.imports import Imports
from hesper_cloud.services.jobs import JobRow, Jobs
from hesper_cloud.services.report_records import ReportWish
from hesper_cloud.services.reports import Reports
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import ReadingStore

if TYPE_CHECKING:
    from console_double.services import DoubleServices

PORTION = 500


class _Link:
    """An authority that notes everything."""

    async def ask(
        self, actor: Actor, kind: str, payload: dict[str, Any], key: str
    ) -> dict[str, Any]:
        del actor, kind, payload, key
        return {}


class _Imports(Imports):
    after: LongerWork

    async def apply(self, actor: Actor, import_id: str) -> ImportView:
        found = await super().apply(actor, import_id)
        self.after.begin()
        return found


class _Reports(Reports):
    after: LongerWork

    async def ask(self, actor: Actor, wish: ReportWish) -> JobRow:
        found = await super().ask(actor, wish)
        self.after.begin()
        return found


class _Jobs(Jobs):
    all_: DoubleServices

    async def get(self, actor: Actor, job_id: int) -> JobRow:
        self.all_.check(actor, Permission.READ)
        return await super().get(actor, job_id)


class LongerWork:
    """Everything that takes long; jobs are worked as soon as they are asked for, unless held."""

    def __init__(self, all_: DoubleServices) -> None:
        state = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, state, ignore_errors=True)
        self.registry = open_engine(f"sqlite:///{state / 'hesper.db'}")
        authority = open_engine(f"sqlite:///{state / 'authority.db'}")
        RegistryBase.metadata.create_all(self.registry)
        AuthorityBase.metadata.create_all(authority)
        settings = Settings(state=state)
        none = cast("ReadingStore", None)
        sources = Sources(settings, self.registry, authority, none, LatestValues(), _now)
        link = cast("AuthorityLink", _Link())
        self.imports, self.reports = _Imports(sources, link), _Reports(sources, link)
        self.imports.after = self.reports.after = self
        self.jobs = _Jobs(sources, link)
        self.jobs.all_ = all_
        self.held = False
        shelves = Shelves(self.registry, authority, EnergyBook(state / "e.duckdb"), settings, _now)
        kinds = [Applying(self.registry, state, _now, PORTION), Making(shelves, state)]
        self._runner = Runner(self.registry, kinds, _now)
        self._tasks: set[asyncio.Task[None]] = set()
        self._fill()

    def begin(self) -> None:
        """Works all jobs that wait, beside whatever the pages do."""
        task = asyncio.get_running_loop().create_task(self._work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while not self.held and await asyncio.to_thread(self._runner.turn):
            pass

    def _fill(self) -> None:
        now = _now()
        with writing(self.registry) as session:
            session.add_all([Area(name="North"), *(Gateway(id=f"gw-{n}") for n in range(4))])
            session.add(Meter(id="SILENT1", gateway_id="gw-1", first_seen_at=now, area="North"))
            for name, every_s, problem in (
                ("clean-up", 86_400.0, None),
                ("meter status", 30.0, None),
                ("rules", 300.0, "put off: the database is locked"),
            ):
                session.add(
                    ScheduledRun(
                        name=name, every_s=every_s, begun_at=now - timedelta(seconds=9),
                        ended_at=now - timedelta(seconds=8), seconds=1.5,
                        next_at=now + timedelta(seconds=every_s), problem=problem,
                        problem_at=now if problem else None, run_count=7,
                        failure_count=1 if problem else 0,
                    )
                )  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)
