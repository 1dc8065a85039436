"""Aggregates, bills, balances, the topology, and series from outside."""

import asyncio
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from hesper_cloud import csv_lines, quantities
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.aggregates import outside, topology
from hesper_cloud.aggregates.billing import RegisterRead
from hesper_cloud.aggregates.buckets import Step
from hesper_cloud.api.validated import From, To
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer, instant
from hesper_cloud.services.energy import BalanceStep, SeriesRow
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.sources import require
from hesper_cloud.worded import told_by, worded

router = APIRouter(tags=["energy"])
_MOST_OCTETS = 16 * 1024 * 1024
_CSV = "text/csv"
Scaler = Annotated[int, Query(ge=outside.SCALERS[0], le=outside.SCALERS[-1])]


@router.get("/meters/{meter_id}/aggregates")
async def aggregates(
    actor: Who,
    services: Have,
    meter_id: str,
    logical_name: str,
    start: From,
    end: To,
    step: Step = "hour",
    series: str | None = None,
) -> Response:
    """Shows sums, counts and means per step; with ``series`` the mean of one from outside."""
    curve = (meter_id, logical_name)
    found = await services.energy.aggregates(actor, curve, start, end, step, series)
    rows = [
        {
            "from": instant(each.starts_at),
            "to": instant(each.ends_at),
            "sum": each.sum,
            "mean": each.mean,
            "count": each.count,
            "estimated": each.estimated,
        }
        for each in found.buckets
    ]
    for row, mean in zip(rows, found.means, strict=False):
        row["series_mean"] = mean
    unit = found.buckets[0].unit if found.buckets else 0
    head: dict[str, Any] = {"meter": meter_id, "logical_name": logical_name, "step": step}
    head |= {"scaler": found.buckets[0].scaler if found.buckets else 0, "unit": unit}
    head |= {"symbol": quantities.symbol(unit), "series": found.series}
    return answer(head | {"rows": rows})


@router.get("/meters/{meter_id}/bill")
async def bill(
    actor: Who,
    services: Have,
    meter_id: str,
    month: Annotated[date, Query(description="Any day of the month")],
    logical_name: str = quantities.ACTIVE_ENERGY_IMPORT,
    with_estimates: bool = False,
) -> Response:
    """Shows the register at both ends of a month, exactly, reconciled with the intervals."""
    curve = (meter_id, logical_name)
    found = await services.energy.bill(actor, curve, month, with_estimates=with_estimates)
    body = asdict(found) | {"symbol": quantities.symbol(found.unit)}
    body |= {"start": _register(found.start), "end": _register(found.end)}
    body["demand"] = [asdict(each) | {"ended_at": instant(each.ended_at)} for each in found.demand]
    return answer(body)


def _register(read: RegisterRead) -> dict[str, Any]:
    return asdict(read) | {"at": instant(read.at)}


@router.get("/elements/{element_id}/balance")
async def balance(
    actor: Who,
    services: Have,
    element_id: str,
    start: From,
    end: To,
    step: BalanceStep = "day",
) -> Response:
    """Shows an element's inflow, what its customers took, and the losses, in mWh."""
    found = await services.energy.balances(actor, element_id, start, end, step)
    return answer(
        [
            {
                "from": instant(each.starts_at),
                "to": instant(each.ends_at),
                "inflow_mwh": each.inflow_mwh,
                "customers_mwh": each.customers_mwh,
                "losses_mwh": each.losses_mwh,
                "losses_percent": each.losses_percent,
                "meters": each.meters,
                "reporting": each.reporting,
                "estimated": each.estimated,
            }
            for each in found
        ]
    )


@router.get("/topology", response_class=Response, responses={200: {"content": {_CSV: {}}}})
async def show_topology(actor: Who, services: Have) -> Response:
    """Gives out the topology as CSV."""
    found = await services.energy.topology(actor)
    return Response(csv_lines.document(topology.lines(found)), media_type=_CSV)


@router.put("/topology")
async def set_topology(actor: Who, services: Have, request: Request) -> Response:
    """Puts a CSV file in the place of the topology."""
    found = await services.energy.set_topology(actor, await _text(request))
    return answer({"elements": len(found.parts), "meters": len(found.places)})


@router.get("/series", response_model=list[SeriesRow])
async def series(actor: Who, services: Have) -> Response:
    """Lists series from outside: weather, the grid operator's figures."""
    return answer(await services.energy.series(actor))


@router.post("/series/{name}")
async def bring_series(
    actor: Who,
    services: Have,
    name: str,
    request: Request,
    scaler: Scaler = 0,
    unit: int = 255,
) -> Response:
    """Takes points of a series, as JSON, or as CSV with the columns ``at`` and ``value``."""
    require(actor, Permission.BRING_SERIES)
    text = await _text(request)
    try:
        if request.headers.get("content-type", "").partition(";")[0] == _CSV:
            batch = await asyncio.to_thread(outside.from_csv, text, name, scaler, unit)
        else:
            batch = await asyncio.to_thread(outside.from_json, text.encode())
    except outside.SeriesRefused as error:
        raise Invalid(told_by(error)) from None
    if batch.series != name:
        raise Invalid(worded("the body speaks of {series!r}", series=batch.series))
    return answer({"points": await services.energy.bring_series(actor, batch)})


async def _text(request: Request) -> str:
    """Returns a request's body.

    Raises:
        Invalid: it is too long, or not UTF-8.
    """
    octets = bytearray()
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > _MOST_OCTETS:
            raise Invalid(
                worded("send at most {most_octets} octets at a time", most_octets=_MOST_OCTETS)
            )
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8") from None
