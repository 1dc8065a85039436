"""What the pages ask of the cloud where work takes long: imports, reports, jobs."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

from hesper_ui.services.records import (
    Actor,
    Brought,
    ChangedRow,
    ImportKind,
    ImportView,
    JobRow,
    PageAsked,
    RejectedRow,
    ReportKindRow,
    ReportRow,
    ReportWish,
    ScheduledRow,
    ScheduleRow,
    ScheduleWish,
)


class Jobs(Protocol):
    """Long jobs, and those on a schedule."""

    async def page(
        self, actor: Actor, state: str | None, asked: PageAsked, /
    ) -> tuple[Sequence[JobRow], str | None]: ...
    async def get(self, actor: Actor, job: int, /) -> JobRow: ...
    async def cancel(self, actor: Actor, job: int, /) -> JobRow: ...
    async def resume(self, actor: Actor, job: int, /) -> JobRow: ...
    async def scheduled(self, actor: Actor, /) -> Sequence[ScheduledRow]: ...


class Imports(Protocol):
    """Files of customers, meters and SIM cards."""

    def template(self, actor: Actor, kind: ImportKind, /) -> bytes: ...
    async def try_file(self, actor: Actor, brought: Brought, /) -> ImportView: ...
    async def apply(self, actor: Actor, import_id: str, /) -> ImportView: ...
    async def get(self, actor: Actor, import_id: str, /) -> ImportView: ...
    async def page(
        self, actor: Actor, asked: PageAsked, /
    ) -> tuple[Sequence[ImportView], str | None]: ...
    async def changes(
        self, actor: Actor, import_id: str, offset: int, limit: int, /
    ) -> Sequence[ChangedRow]: ...
    async def rejected(
        self, actor: Actor, import_id: str, offset: int, limit: int, /
    ) -> Sequence[RejectedRow]: ...
    async def rejected_file(
        self, actor: Actor, import_id: str, /
    ) -> tuple[str, Iterator[bytes]]: ...


class Reports(Protocol):
    """Reports as PDF and CSV, and those that are made by themselves."""

    def kinds(self, actor: Actor, /) -> Sequence[ReportKindRow]: ...
    async def ask(self, actor: Actor, wish: ReportWish, /) -> JobRow: ...
    def today(self) -> tuple[date, str]: ...
    async def page(
        self, actor: Actor, asked: PageAsked, /
    ) -> tuple[Sequence[ReportRow], str | None]: ...
    async def file(self, actor: Actor, report: int, form: str, /) -> tuple[str, Path]: ...
    async def schedules(self, actor: Actor, /) -> Sequence[ScheduleRow]: ...
    async def add_schedule(self, actor: Actor, wish: ScheduleWish, /) -> ScheduleRow: ...
    async def change_schedule(
        self, actor: Actor, schedule: int, wish: ScheduleWish, version: int | None, /
    ) -> ScheduleRow: ...
    async def remove_schedule(self, actor: Actor, schedule: int, /) -> None: ...
