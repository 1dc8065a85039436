"""Making a report: one long job, part by part into the spool, then the files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hesper_contracts.durable import synchronise
from sqlalchemy.orm import Session

from hesper_cloud import csv_lines
from hesper_cloud.db.privacy import DataAccess
from hesper_cloud.db.reports import Report
from hesper_cloud.long_jobs.kinds import Effect, JobFailed, Progress, Work
from hesper_cloud.reports import paper
from hesper_cloud.reports.folders import FORMATS, SPOOL, file_of, folder_of
from hesper_cloud.reports.kinds import KINDS
from hesper_cloud.reports.mailing import mail
from hesper_cloud.reports.spool import append, rows_of
from hesper_cloud.reports.tables import Period, ReportKind, Shelves
from hesper_cloud.worded import later, worded

KIND = "report"
OF_HOUSEHOLDS = frozenset({"consumption"})
"""Whoever makes or fetches one of these has looked at what households use."""
_GONE = later("its rows are not there any more; ask for the report again")


@dataclass(frozen=True, slots=True)
class Making:
    """The kind of long work that makes reports.

    The job's parameters are ``report``, ``first`` and ``end`` (days, the end not included),
    ``zone``, ``areas`` and ``area``, as `parameters_of` returns them; and ``schedule``, the number
    of the one that asks.
    """

    shelves: Shelves
    state: Path
    name: str = KIND
    lane: str = "reports"

    def prepare(self, work: Work) -> Effect:
        """Makes the next part, or the files when there is none."""
        kind = KINDS.get(work.parameters["report"])
        if kind is None:
            raise JobFailed(
                worded("this version makes no report {report!r}", report=work.parameters["report"])
            )
        if work.cursor.get("complete"):
            return self._files(work, kind)
        return self._part(work, kind)

    def _part(self, work: Work, kind: ReportKind) -> Effect:
        part = kind.part(self.shelves, self._period(work, kind), work.cursor.get("after"))
        spool, before = folder_of(self.state, work.id) / SPOOL, work.cursor.get("octets", 0)
        if before and (not spool.exists() or spool.stat().st_size < before):
            raise JobFailed(_GONE)
        length = append(spool, before, part.rows)
        count = work.cursor.get("rows", 0) + len(part.rows)
        cursor = {"octets": length, "rows": count, "after": part.after}
        cursor["complete"] = part.after is None
        return lambda _session: Progress(count, None, cursor)

    def _files(self, work: Work, kind: ReportKind) -> Effect:
        spool, count = folder_of(self.state, work.id) / SPOOL, work.cursor["rows"]
        if not spool.exists():
            raise JobFailed(_GONE)
        period, at = self._period(work, kind), self.shelves.clock()
        head = paper.Head(kind.title, _note(kind, work.parameters, period.zone, count, at))
        titles = [column.title for column in kind.columns]
        with file_of(self.state, work.id, "csv").open("wb") as file:
            file.write("\ufeff".encode())
            file.writelines(csv_lines.lines([titles]))
            file.writelines(csv_lines.lines(rows_of(spool)))
        shown = islice(rows_of(spool), paper.MOST_ROWS)
        paper.write(file_of(self.state, work.id, "pdf"), head, kind.columns, shown)
        files = {form: _told(file_of(self.state, work.id, form)) for form in FORMATS}
        synchronise(spool.parent)
        report = Report(
            kind=kind.name,
            title=kind.title,
            from_at=period.start_at,
            to_at=period.end_at,
            zone=period.zone.key,
            area=work.parameters.get("area"),
            row_count=count,
            files=files,
            made_by=work.asked_by,
            made_at=at,
            job_id=work.id,
        )
        areas, schedule = work.parameters.get("areas"), work.parameters.get("schedule")
        return lambda session: _entered(session, report, areas, schedule)

    def _period(self, work: Work, kind: ReportKind) -> Period:
        """Returns the period of a job; sums of whole days know no other zone than their own."""
        period, settings = period_of(work.parameters), self.shelves.settings
        if kind.days == "book":
            zone = settings.validation.zone_of(work.parameters.get("area"))
            return replace(period, zone=zone)
        if kind.days == "levels":
            return replace(period, zone=ZoneInfo(settings.service_levels.zone))
        return period


def parameters_of(report: str, period: Period, area: str | None) -> dict[str, Any]:
    """Returns the parameters of a job that makes a report."""
    return {
        "report": report,
        "first": period.first.isoformat(),
        "end": period.end.isoformat(),
        "zone": period.zone.key,
        "area": area,
        "areas": None if period.areas is None else list(period.areas),
    }


def period_of(parameters: Mapping[str, Any]) -> Period:
    """Returns the period that a job's parameters name, in the zone that was asked for."""
    areas = parameters.get("areas")
    return Period(
        date.fromisoformat(parameters["first"]),
        date.fromisoformat(parameters["end"]),
        ZoneInfo(parameters["zone"]),
        None if areas is None else tuple(areas),
    )


def looks_of(
    report: Report, areas: Sequence[str] | None, target: str | None = None
) -> list[DataAccess]:
    """Returns what the log of looks at data says of a report that shows households' energy.

    It is whoever had it made who looks, or with ``target`` the one to whom it is mailed.
    """
    if report.kind not in OF_HOUSEHOLDS:
        return []
    wanted = [report.area] if report.area is not None or areas is None else areas
    return [
        DataAccess(
            first_at=report.made_at,
            last_at=report.made_at,
            count=1,
            who=target or report.made_by,
            door="schedule" if target else "report",
            operation=f"{report.kind}, mailed" if target else report.kind,
            area=area,
            from_at=report.from_at,
            to_at=report.to_at,
        )
        for area in wanted
    ]


def _entered(
    session: Session, report: Report, areas: Sequence[str] | None, schedule: int | None
) -> Progress:
    session.add_all([report, *looks_of(report, areas)])
    session.flush()
    target = mail(session, report, schedule, report.made_at)
    if target is not None:
        session.add_all(looks_of(report, areas, target))
    return Progress(report.row_count, report.row_count, None, {"report": report.id})


def _told(path: Path) -> dict[str, Any]:
    synchronise(path)
    octets = path.read_bytes()
    return {"octets": len(octets), "sha256": hashlib.sha256(octets).hexdigest()}


def _note(
    kind: ReportKind, parameters: Mapping[str, Any], zone: ZoneInfo, count: int, at: datetime
) -> str:
    where = parameters.get("area") or "all areas"
    days = "days of the zone in each row" if kind.days == "book" else zone.key
    shown = f"; the first {paper.MOST_ROWS} are here, all in the CSV file"
    return (
        f"{parameters['first']} to {parameters['end']} (not included), {days}, {where};"
        f" {count} rows{shown if count > paper.MOST_ROWS else ''};"
        f" made {at.astimezone(zone).isoformat(sep=' ', timespec='minutes')}"
    )
