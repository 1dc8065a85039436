"""Long jobs with their progress, and the jobs on a schedule."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.jobs import MOST_JOBS, JobRow, ScheduledRow

router = APIRouter(prefix="/jobs", tags=["jobs"])
LARGEST_ID = 2**31 - 1
JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
State = Literal["open", "waiting", "running", "done", "failed", "cancelled"]


class AllJobs(BaseModel):
    """Long jobs, newest first, and every job on a schedule."""

    jobs: list[JobRow]
    scheduled: list[ScheduledRow]


@router.get("", response_model=AllJobs)
async def jobs(
    actor: Who,
    services: Have,
    state: State | None = None,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_JOBS)] = 100,
) -> Response:
    """Lists long jobs newest first, and the jobs on a schedule with their last runs.

    ``before`` is the number of the last job that was seen; ``open`` are those that may change.
    """
    long = await services.jobs.list(actor, state, before, limit)
    return answer({"jobs": long, "scheduled": await services.jobs.scheduled(actor)})


@router.get("/{job_id}", response_model=JobRow)
async def job(actor: Who, services: Have, job_id: JobId) -> Response:
    """Shows how far a job has come."""
    return answer(await services.jobs.get(actor, job_id))


@router.post("/{job_id}/cancel", response_model=JobRow)
async def cancel(actor: Who, services: Have, job_id: JobId) -> Response:
    """Ends a job between two portions; what it did so far stays."""
    return answer(await services.jobs.cancel(actor, job_id))
