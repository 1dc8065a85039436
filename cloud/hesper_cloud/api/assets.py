"""Customers, SIM cards, areas, models, tariffs, elements; what people keep of meters and gateways.

How a meter goes into service and out of it is in `meter_life`.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime

from hesper_cloud.api import asset_bodies as bodies
from hesper_cloud.api.asset_routes import Resource, add_routes
from hesper_cloud.api.meter_life_bodies import MeterPlace
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services import asset_records as records
from hesper_cloud.services.asset_records import FirmwareSeen, SearchHit

router = APIRouter(tags=["assets"])
Key = Annotated[str, Path(max_length=64)]
RESOURCES = (
    Resource(
        "customer",
        ("/customers", "customer_id"),
        (records.CustomerRow, bodies.NewCustomer, bodies.CustomerChange),
        asked=bodies.CustomersAsked,
        is_number=True,
        is_kept=True,
    ),
    Resource(
        "sim",
        ("/sims", "sim_id"),
        (records.SimRow, bodies.NewSim, bodies.SimChange),
        asked=bodies.SimsAsked,
        is_number=True,
        is_kept=True,
    ),
    Resource(
        "meter",
        ("/meters", "meter_id"),
        (records.MeterCard, bodies.NewMeter, bodies.MeterChange),
        is_kept=True,
        is_listed=False,
        is_shown=False,
    ),
    Resource(
        "gateway",
        ("/gateways", "gateway_id"),
        (records.GatewayCard, bodies.NewGateway, bodies.GatewayChange),
        is_kept=True,
        is_listed=False,
    ),
    Resource("area", ("/areas", "area"), (records.AreaRow, bodies.NewArea, bodies.AreaChange)),
    Resource(
        "model",
        ("/models", "model_id"),
        (records.ModelRow, bodies.NewModel, bodies.ModelChange),
        is_number=True,
    ),
    Resource(
        "tariff", ("/tariffs", "tariff"), (records.TariffRow, bodies.NewTariff, bodies.TariffChange)
    ),
    Resource(
        "element",
        ("/elements", "element_id"),
        (records.ElementRow, bodies.NewElement, bodies.ElementChange),
    ),
)
for _each in RESOURCES:
    add_routes(router, _each)


@router.put("/elements/{element_id}/meters/{meter_id}", status_code=204)
async def put_meter(
    actor: Who, services: Have, element_id: Key, meter_id: Key, body: MeterPlace
) -> Response:
    """Puts a meter at an element of the grid; a customer's leaves the one where it was."""
    await services.assets.place(actor, element_id, meter_id, body.role, body.since)
    return Response(status_code=204)


@router.delete("/elements/{element_id}/meters/{meter_id}", status_code=204)
async def take_meter(
    actor: Who, services: Have, element_id: Key, meter_id: Key, until: AwareDatetime
) -> Response:
    """Takes a meter from an element of the grid at a moment."""
    await services.assets.place(actor, element_id, meter_id, None, until)
    return Response(status_code=204)


@router.get("/search", response_model=list[SearchHit])
async def search(
    actor: Who,
    services: Have,
    q: Annotated[str, Query(max_length=200, description="Words that all must be found")] = "",
    each: Annotated[int, Query(ge=1, le=20, description="Hits of each kind")] = 5,
) -> Response:
    """Searches all: serial, name, address, account, ICCID, IMSI, MSISDN, gateway, area, feeder."""
    return answer(await services.assets.search(actor, q, each))


@router.get("/firmware-versions", response_model=list[FirmwareSeen])
async def firmware_versions(actor: Who, services: Have) -> Response:
    """Lists the firmware that was seen on meters and gateways, and on how many."""
    return answer(await services.assets.firmware_seen(actor))
