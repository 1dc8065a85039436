"""Long jobs with their progress, and the jobs on a schedule."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from hesper_cloud.api.paging import Paged, paged
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.jobs import JobRow, ScheduledRow

router = APIRouter(prefix="/jobs", tags=["jobs"])
LARGEST_ID = 2**31 - 1
JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
State = Literal["open", "waiting", "running", "done", "failed", "cancelled"]


class JobQuery(Paged):
    """Which long jobs; ``open`` are those that may still change."""

    state: State | None = None


class AllJobs(BaseModel):
    """Long jobs, newest first, and every job on a schedule."""

    rows: list[JobRow]
    next: str | None
    scheduled: list[ScheduledRow]


@router.get("", response_model=AllJobs)
async def jobs(
    actor: Who, services: Have, request: Request, asked: Annotated[JobQuery, Query()]
) -> Response:
    """Lists long jobs newest first, and the jobs on a schedule with their last runs."""
    rows, following = await services.jobs.page(actor, asked.state, asked.asked())
    scheduled = await services.jobs.scheduled(actor)
    return paged(request, rows, following, scheduled=scheduled)


@router.get("/{job_id}", response_model=JobRow)
async def job(actor: Who, services: Have, job_id: JobId) -> Response:
    """Shows how far a job has come."""
    return answer(await services.jobs.get(actor, job_id))


@router.post("/{job_id}/cancel", response_model=JobRow)
async def cancel(actor: Who, services: Have, job_id: JobId) -> Response:
    """Ends a job between two portions; what it did so far stays."""
    return answer(await services.jobs.cancel(actor, job_id))


@router.post("/{job_id}/resume", response_model=JobRow)
async def resume(actor: Who, services: Have, job_id: JobId) -> Response:
    """Lets a job that failed or was cancelled go on where it stopped."""
    return answer(await services.jobs.resume(actor, job_id))
