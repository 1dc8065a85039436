"""Reading schedules and meter templates: versions, assignment by query, desired and reported."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hesper_cloud.api.commands import IdempotencyKey
from hesper_cloud.api.versions import WantedVersion, versioned
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services import plan_documents
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.plan_documents import (
    LONGEST_NOTE,
    LONGEST_TEMPLATE,
    MOST_JITTER_S,
    MOST_S,
    NAME,
)
from hesper_cloud.services.plan_sending import Sent
from hesper_cloud.services.plan_states import PlanKind, PlanQuery, PlanState
from hesper_cloud.services.plans import AssignmentRow, PlanRow

Name = Annotated[str, Path(pattern=NAME)]
Seconds = Annotated[float, Field(gt=0, le=MOST_S)]
Note = Annotated[str, Field(max_length=LONGEST_NOTE)]


class Whom(BaseModel):
    """Whom an assignment finds; all that is said must hold, nothing said means every gateway."""

    model_config = ConfigDict(extra="forbid")

    gateway: str | None = Field(default=None, max_length=63)
    area: str | None = Field(default=None, max_length=64)
    brand: str | None = Field(default=None, max_length=64)
    model: str | None = Field(default=None, max_length=64)
    meter_type: str | None = Field(default=None, max_length=64)


class NewAssignment(BaseModel):
    """Which version, by default the newest, for whom."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(default=None, ge=1, le=1_000_000)
    query: Whom = Whom()


class Schedule(BaseModel):
    """The table ``[schedule]`` of gateway.toml, in seconds; what is left out is the default."""

    model_config = ConfigDict(extra="forbid")

    profile_s: Seconds | None = None
    snapshot_s: Seconds | None = None
    events_s: Seconds | None = None
    jitter_s: float | None = Field(default=None, ge=0, le=MOST_JITTER_S)
    back_off_s: Seconds | None = None
    back_off_max_s: Seconds | None = None


class Template(BaseModel):
    """The text of a meter template in TOML."""

    model_config = ConfigDict(extra="forbid")

    toml: Annotated[str, AfterValidator(plan_documents.toml)] = Field(
        min_length=1, max_length=LONGEST_TEMPLATE, examples=["[clock]\n"]
    )


class NewSchedule(BaseModel):
    """The next version of a schedule."""

    document: Schedule
    note: Note = ""


class NewTemplate(BaseModel):
    """The next version of a template."""

    document: Template
    note: Note = ""


class Sending(BaseModel):
    """Why gateways are told now."""

    reason: str = Field(min_length=3, max_length=500)


def _router(kind: PlanKind) -> APIRouter:
    """Returns the routes that schedules and templates have in common."""
    router = APIRouter(prefix=f"/{kind}s", tags=["schedules and templates"])

    @router.get("", response_model=list[PlanRow])
    async def newest(actor: Who, services: Have) -> Response:
        """Lists the newest versions."""
        return answer(await services.plans.newest(actor, kind))

    @router.get("/states", response_model=list[PlanState])
    async def states(actor: Who, services: Have) -> Response:
        """Shows what is desired and what is reported at each gateway."""
        return answer(await services.plans.states(actor, kind))

    @router.get("/assignments", response_model=list[AssignmentRow])
    async def assignments(actor: Who, services: Have) -> Response:
        """Lists the assignments that hold, newest first; the newest that finds somebody counts."""
        return answer(await services.plans.assignments(actor, kind))

    @router.delete("/assignments/{assignment_id}", status_code=204)
    async def take_back(
        actor: Who, services: Have, assignment_id: Annotated[int, Path(ge=1, lt=2**31)]
    ) -> Response:
        """Takes an assignment back; an older one may hold again."""
        await services.plans.take_back(actor, kind, assignment_id)
        return Response(status_code=204)

    @router.get("/{name}", response_model=list[PlanRow])
    async def versions(actor: Who, services: Have, name: Name) -> Response:
        """Lists the versions, newest first."""
        rows = await services.plans.versions(actor, kind, name)
        return versioned(answer(rows), rows[0].version)

    @router.post("/{name}/assignments", response_model=AssignmentRow, status_code=201)
    async def assign(actor: Who, services: Have, name: Name, body: NewAssignment) -> Response:
        """Assigns a version to those whom a query finds; it is desired there from now on."""
        query = PlanQuery(**body.query.model_dump())
        found = await services.plans.assign(actor, kind, name, body.version, query)
        return answer(found, 201)

    return router


schedules = _router("schedule")
templates = _router("template")


@schedules.put("/{name}", response_model=PlanRow)
async def put_schedule(
    actor: Who, services: Have, name: Name, body: NewSchedule, version: WantedVersion
) -> Response:
    """Makes the next version of a schedule, or its first."""
    document: dict[str, Any] = body.document.model_dump(exclude_none=True)
    row = await services.plans.put(actor, ("schedule", name), document, body.note, version)
    return versioned(answer(row), row.version)


@schedules.post("/{name}/send", response_model=Sent, status_code=202)
async def send(
    actor: Who, services: Have, name: Name, body: Sending, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Asks for ``gateway.configure`` where the schedule is desired and not reported."""
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second command")
    found = await services.plan_sending.send(actor, name, body.reason, idempotency_key)
    return answer(found, 202)


@templates.put("/{name}", response_model=PlanRow)
async def put_template(
    actor: Who, services: Have, name: Name, body: NewTemplate, version: WantedVersion
) -> Response:
    """Makes the next version of a template, or its first."""
    document = body.document.model_dump()
    row = await services.plans.put(actor, ("template", name), document, body.note, version)
    return versioned(answer(row), row.version)
