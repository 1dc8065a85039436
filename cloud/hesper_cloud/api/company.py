"""What an operating company looks at first: consumption, its approvals, the dashboard's figures."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from hesper_cloud import quantities
from hesper_cloud.aggregates.consumption import GroupStep
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.approvals import ApprovalKind, ApprovalRow
from hesper_cloud.services.consumption import ConsumptionQuery
from hesper_cloud.services.records import AttentionRow, CompletenessHour, Overview

router = APIRouter()


class ConsumptionRow(BaseModel):
    """What was taken from the start of one local day to the end of another."""

    first: date
    last: date
    value: int
    meters: int
    count: int
    estimated: int


class ConsumptionShown(BaseModel):
    """Consumption per step: ``value`` × 10^``scaler`` in the unit (Blue Book code)."""

    logical_name: str
    step: GroupStep
    scaler: int
    unit: int
    symbol: str
    rows: list[ConsumptionRow]


class DashboardStats(BaseModel):
    """What the first page shows: figures, completeness of the last day, what needs attention."""

    figures: Overview
    completeness: list[CompletenessHour]
    attention: list[AttentionRow]


class ConsumptionFilter(BaseModel):
    """Whose consumption: a meter's, an area's, that behind a gateway, or everybody's."""

    first: date = Field(alias="from", description="Local day, included")
    last: date = Field(alias="to", description="Local day, included")
    step: GroupStep = "day"
    meter: str | None = Field(default=None, max_length=32)
    area: str | None = Field(default=None, max_length=64)
    gateway: str | None = Field(default=None, max_length=63)
    logical_name: str = Field(default=quantities.ACTIVE_ENERGY_IMPORT, max_length=24)


@router.get("/consumption", response_model=ConsumptionShown, tags=["energy"])
async def consumption(
    actor: Who, services: Have, asked: Annotated[ConsumptionFilter, Query()]
) -> Response:
    """Shows what was taken per local day or month, added up over all meters that are meant."""
    query = ConsumptionQuery(**asked.model_dump())
    found = await services.consumption.rows(actor, query)
    scaler = min((each.scaler for each in found), default=0)
    unit = found[0].unit if found else 0
    rows = [
        {
            "first": each.first,
            "last": each.last,
            "value": each.value * 10 ** (each.scaler - scaler),
            "meters": each.meters,
            "count": each.count,
            "estimated": each.estimated,
        }
        for each in found
    ]
    head = {"logical_name": query.logical_name, "step": query.step, "scaler": scaler, "unit": unit}
    return answer(head | {"symbol": quantities.symbol(unit), "rows": rows})


@router.get("/approvals", response_model=list[ApprovalRow], tags=["decisions"])
async def approvals(actor: Who, services: Have, kind: ApprovalKind | None = None) -> Response:
    """Lists all that waits for a second person, what runs out first in front."""
    return answer(await services.approvals.waiting(actor, kind))


@router.get("/dashboard/stats", response_model=DashboardStats, tags=["operations"])
async def stats(actor: Who, services: Have) -> Response:
    """Shows the figures of the first page in one answer."""
    overview = services.overview
    return answer(
        {
            "figures": await overview.figures(actor),
            "completeness": await overview.completeness_by_hour(actor),
            "attention": await overview.needs_attention(actor),
        }
    )
