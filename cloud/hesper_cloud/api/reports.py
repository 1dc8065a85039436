"""Reports and their schedules."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from hesper_cloud.api.jobs import LARGEST_ID
from hesper_cloud.api.paging import Paged, paged
from hesper_cloud.api.versions import WantedVersion, versioned
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.reports.folders import FORMATS
from hesper_cloud.reports.schedules import MINUTES_PER_DAY, Every
from hesper_cloud.services.jobs import JobRow
from hesper_cloud.services.report_records import (
    KindRow,
    ReportRow,
    ReportWish,
    ScheduleRow,
    ScheduleWish,
)

router = APIRouter(prefix="/reports", tags=["reports"])
ReportId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Format = Literal["csv", "pdf"]


class ReportOrder(BaseModel):
    """A report of some days, both ends included, by the calendar of a zone."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=40, examples=["consumption"])
    first: date
    last: date
    zone: str = Field(default="UTC", max_length=64, examples=["Europe/Vienna"])
    area: str | None = Field(default=None, max_length=64)


class ScheduleOrder(BaseModel):
    """A report that is made by itself, of the day, week or month before."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$", examples=["monthly billing"])
    kind: str = Field(max_length=40, examples=["consumption"])
    every: Every
    at_minute: int = Field(default=6 * 60, ge=0, lt=MINUTES_PER_DAY, description="From midnight")
    zone: str = Field(default="UTC", max_length=64, examples=["Europe/Vienna"])
    area: str | None = Field(default=None, max_length=64)
    target: str | None = Field(
        default=None,
        max_length=64,
        description="A mail target of delivery that is sent each report",
    )
    enabled: bool = True


class ReportList(BaseModel):
    """Reports, newest first."""

    rows: list[ReportRow]
    next: str | None


@router.get("", response_model=ReportList)
async def reports(
    actor: Who, services: Have, request: Request, asked: Annotated[Paged, Query()]
) -> Response:
    """Lists reports, newest first."""
    rows, following = await services.reports.page(actor, asked.asked())
    return paged(request, rows, following)


@router.post("", response_model=JobRow, status_code=202)
async def ask(actor: Who, services: Have, body: ReportOrder) -> Response:
    """Asks for a report; the job that makes it names its number in ``result``."""
    return answer(await services.reports.ask(actor, ReportWish(**body.model_dump())), 202)


@router.get("/kinds", response_model=list[KindRow])
async def kinds(actor: Who, services: Have) -> Response:
    """Lists the kinds of report that you may ask for."""
    return answer(services.reports.kinds(actor))


@router.get("/schedules", response_model=list[ScheduleRow])
async def schedules(actor: Who, services: Have) -> Response:
    """Lists the reports that are made by themselves."""
    return answer(await services.reports.schedules(actor))


@router.post("/schedules", response_model=ScheduleRow, status_code=201)
async def add_schedule(actor: Who, services: Have, body: ScheduleOrder) -> Response:
    """Has a report made every day, week or month."""
    wish = ScheduleWish(**body.model_dump())
    return answer(await services.reports.add_schedule(actor, wish), 201)


@router.get("/schedules/{schedule_id}", response_model=ScheduleRow)
async def schedule(actor: Who, services: Have, schedule_id: ReportId) -> Response:
    """Shows one schedule; its ETag begins with its version."""
    found = await services.reports.schedule(actor, schedule_id)
    return versioned(answer(found), found.version)


@router.put("/schedules/{schedule_id}", response_model=ScheduleRow)
async def change_schedule(
    actor: Who,
    services: Have,
    schedule_id: ReportId,
    body: ScheduleOrder,
    version: WantedVersion,
) -> Response:
    """Has a report made in another way from now on; ``enabled`` false rests it."""
    wish = ScheduleWish(**body.model_dump())
    found = await services.reports.change_schedule(actor, schedule_id, wish, version)
    return versioned(answer(found), found.version)


@router.delete("/schedules/{schedule_id}", status_code=204)
async def remove_schedule(actor: Who, services: Have, schedule_id: ReportId) -> Response:
    """Ends a schedule; the reports that it made stay."""
    await services.reports.remove_schedule(actor, schedule_id)
    return Response(status_code=204)


@router.get("/{report_id}", response_model=ReportRow)
async def report(actor: Who, services: Have, report_id: ReportId) -> Response:
    """Shows one report."""
    return answer(await services.reports.get(actor, report_id))


@router.get("/{report_id}/file")
async def file(
    actor: Who,
    services: Have,
    report_id: ReportId,
    format: Format = "pdf",  # noqa: A002 - its name in the address
) -> FileResponse:
    """Gives out a report as PDF or CSV."""
    name, path = await services.reports.file(actor, report_id, format)
    return FileResponse(path, media_type=FORMATS[format], filename=name)
