"""Events, their catalogue, and the outages that they make."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, Field

from hesper_cloud.api.paging import Paged, listed
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.records import EventRow
from hesper_cloud.services.rule_records import CatalogueRow, EventFilter, OutageDetail, OutageRow

router = APIRouter(tags=["events"])
LARGEST_ID = 2**31 - 1
Name = Annotated[str, Field(max_length=128)]


class EventQuery(Paged):
    """Which events; all that fit every filter."""

    group: Name | None = Field(default=None, description="A group of the catalogue, or `unknown`")
    code: Name | None = None
    severity: Literal["info", "warning", "critical"] | None = None
    meter: Name | None = None
    gateway: Name | None = None
    area: Name | None = None
    start: AwareDatetime | None = Field(default=None, alias="from")
    end: AwareDatetime | None = Field(default=None, alias="to", description="Left out itself")

    def wanted(self) -> EventFilter:
        """Returns it as services take it."""
        return EventFilter(**{name: getattr(self, name) for name in EventFilter.__slots__})


class OutageQuery(Paged):
    """Which outages; without ``state`` all that were not merged into larger ones."""

    state: Literal["open", "restored", "merged"] | None = None
    area: Name | None = None


@router.get("/events", response_model=list[EventRow])
async def events(
    request: Request, actor: Who, services: Have, asked: Annotated[EventQuery, Query()]
) -> Response:
    """Lists events, newest first; the next page is in the ``Link`` header."""
    rows, following = await services.events.page(actor, asked.wanted(), asked.asked())
    return listed(request, rows, following)


@router.get("/events/catalogue", response_model=list[CatalogueRow])
async def catalogue(actor: Who, services: Have) -> Response:
    """Lists every event code with its group, and the stored ones that nobody knows."""
    return answer(await services.events.catalogue(actor))


@router.get("/outages", response_model=list[OutageRow])
async def outages(
    request: Request, actor: Who, services: Have, asked: Annotated[OutageQuery, Query()]
) -> Response:
    """Lists outages, newest first; the next page is in the ``Link`` header."""
    rows, following = await services.outages.page(actor, asked.state, asked.area, asked.asked())
    return listed(request, rows, following)


@router.get("/outages/{outage_id}", response_model=OutageDetail)
async def outage(
    actor: Who, services: Have, outage_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]
) -> Response:
    """Shows one outage with its meters, those without power first."""
    return answer(await services.outages.get(actor, outage_id))
