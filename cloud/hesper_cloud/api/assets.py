"""Customers, SIM cards, areas, models, tariffs, elements; what people keep of meters and gateways.

How a meter goes into service and out of it is in `meter_life`.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from hesper_cloud.api import asset_bodies as bodies
from hesper_cloud.api.asset_routes import Resource, add_routes
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services import asset_records as records
from hesper_cloud.services.asset_records import FirmwareSeen, SearchHit

router = APIRouter(tags=["assets"])
RESOURCES = (
    Resource(
        kind="customer",
        path="/customers",
        key="customer_id",
        is_number=True,
        record=records.CustomerRow,
        new=bodies.NewCustomer,
        change=bodies.CustomerChange,
        asked=bodies.CustomersAsked,
        restored=True,
    ),
    Resource(
        kind="sim",
        path="/sims",
        key="sim_id",
        is_number=True,
        record=records.SimRow,
        new=bodies.NewSim,
        change=bodies.SimChange,
        asked=bodies.SimsAsked,
        restored=True,
    ),
    Resource(
        kind="meter",
        path="/meters",
        key="meter_id",
        is_number=False,
        record=records.MeterCard,
        new=bodies.NewMeter,
        change=bodies.MeterChange,
        restored=True,
        listed=False,
        shown=False,
    ),
    Resource(
        kind="gateway",
        path="/gateways",
        key="gateway_id",
        is_number=False,
        record=records.GatewayCard,
        new=bodies.NewGateway,
        change=bodies.GatewayChange,
        restored=True,
        listed=False,
    ),
    Resource(
        kind="area",
        path="/areas",
        key="area",
        is_number=False,
        record=records.AreaRow,
        new=bodies.NewArea,
        change=bodies.AreaChange,
    ),
    Resource(
        kind="model",
        path="/models",
        key="model_id",
        is_number=True,
        record=records.ModelRow,
        new=bodies.NewModel,
        change=bodies.ModelChange,
    ),
    Resource(
        kind="tariff",
        path="/tariffs",
        key="tariff",
        is_number=False,
        record=records.TariffRow,
        new=bodies.NewTariff,
        change=bodies.TariffChange,
    ),
    Resource(
        kind="element",
        path="/elements",
        key="element_id",
        is_number=False,
        record=records.ElementRow,
        new=bodies.NewElement,
        change=bodies.ElementChange,
    ),
)
for _each in RESOURCES:
    add_routes(router, _each)


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
