"""Meters and their readings."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from hesper_cloud import quantities
from hesper_cloud.api.paging import linked
from hesper_cloud.api.versions import versioned
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer, lines, reading
from hesper_cloud.exports.numbers import rfc3339
from hesper_cloud.services.readings import MAX_ROWS
from hesper_cloud.services.records import (
    EventRow,
    GapRow,
    LatestValue,
    LifeFilter,
    MeterDetail,
    MeterQuery,
    MeterRow,
    MeterState,
    Page,
    RelayFilter,
    Series,
)

router = APIRouter(tags=["meters"])
From = Annotated[AwareDatetime, Query(alias="from", description="Start, included (RFC 3339)")]
To = Annotated[AwareDatetime, Query(alias="to", description="End, excluded (RFC 3339)")]


_LINES = "application/x-ndjson"
_ARCHIVED_BEFORE = "Archived-Before"
_STREAMED = {
    "content": {_LINES: {}},
    "headers": {
        _ARCHIVED_BEFORE: {
            "description": "Older readings have left the store; set where `from` is before",
            "schema": {"type": "string", "format": "date-time"},
        }
    },
}
MeterSorting = Literal[
    "id", "customer", "address", "area", "gateway", "last_contact_at", "relay",
    "-id", "-customer", "-address", "-area", "-gateway", "-last_contact_at", "-relay",
]  # fmt: skip


class MeterFilter(BaseModel):
    """Which meters, in which order, which part of the list."""

    search: str = ""
    state: MeterState | None = None
    life: LifeFilter | None = Field(
        default=None, description="In service, unless another part of their lives is asked"
    )
    relay: RelayFilter | None = None
    gateway: str | None = None
    sort: MeterSorting = Field(default="id", description="`-` before it for descending")
    descending: bool = False
    offset: int = Field(default=0, ge=0, lt=2**31, description="Rather than this, take `cursor`")
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str = Field(default="", max_length=2048, description="`next` of the page before")

    def query(self) -> MeterQuery:
        """Returns it as services take it."""
        said = self.model_dump()
        down = self.descending or self.sort.startswith("-")
        return MeterQuery(**said | {"sort": self.sort.removeprefix("-"), "descending": down})


@router.get("/meters", response_model=Page[MeterRow])
async def page(
    request: Request, actor: Who, services: Have, asked: Annotated[MeterFilter, Query()]
) -> Response:
    """Lists meters: search, filter, sort, one page."""
    found = await services.meters.page(actor, asked.query())
    return linked(request, answer(found), found.next)


@router.get("/meters/{meter_id}", response_model=MeterDetail)
async def detail(actor: Who, services: Have, meter_id: str) -> Response:
    """Shows one meter."""
    found = await services.meters.get(actor, meter_id)
    response = answer(found)
    return response if found.card is None else versioned(response, found.card.version)


@router.get("/meters/{meter_id}/latest", response_model=list[LatestValue])
async def latest(actor: Who, services: Have, meter_id: str) -> Response:
    """Shows the newest value of each quantity of a meter."""
    return answer(await services.meters.latest(actor, meter_id))


@router.get("/meters/{meter_id}/series", response_model=Series)
async def series(
    actor: Who,
    services: Have,
    meter_id: str,
    logical_name: str,
    start: From,
    end: To,
    step_s: Annotated[int | None, Query(ge=1)] = None,
    profile: str = quantities.LOAD_PROFILE,
) -> Response:
    """Shows one curve; with ``step_s`` the last value of each step."""
    found = services.meters.series(actor, meter_id, logical_name, start, end, step_s, profile)
    return answer(await found)


@router.get("/meters/{meter_id}/gaps", response_model=list[GapRow])
async def gaps(actor: Who, services: Have, meter_id: str, start: From, end: To) -> Response:
    """Lists the gaps of one meter that touch a range."""
    return answer(await services.meters.gaps(actor, meter_id, start, end))


@router.get("/meters/{meter_id}/events", response_model=list[EventRow])
async def events(actor: Who, services: Have, meter_id: str, limit: int = 100) -> Response:
    """Lists the newest events of one meter."""
    return answer(await services.meters.events(actor, meter_id, limit))


@router.get("/readings")
async def readings(
    actor: Who,
    services: Have,
    meter: str,
    start: From,
    end: To,
    profile: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1000,
) -> Response:
    """Lists raw readings of one meter, newest first; ``next_to`` is the next page's ``to``."""
    rows, next_end = await services.readings.page(actor, meter, profile, start, end, limit)
    left = await services.readings.archived_before(start)
    shown = [reading(row) for row in rows]
    return answer({"rows": shown, "next_to": next_end, "archived_before": left})


@router.get("/readings/export", response_class=Response, responses={200: _STREAMED})
async def export(
    actor: Who, services: Have, start: From, end: To, meter: str | None = None
) -> StreamingResponse:
    """Streams every reading captured in a range as NDJSON, one reading per line, in no order.

    Where the range begins before the end of the archive, the header ``Archived-Before`` says from
    when on the answer is whole.
    """
    rows = await asyncio.to_thread(services.readings.export, actor, start, end, meter)
    left = await services.readings.archived_before(start)
    headers = {} if left is None else {_ARCHIVED_BEFORE: rfc3339(int(left.timestamp()))}
    return StreamingResponse(lines(rows), headers=headers, media_type=_LINES)
