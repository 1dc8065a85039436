"""A meter's life: installed, commissioned with a first read, exchanged, removed, protected."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from hesper_cloud.api import meter_life_bodies as bodies
from hesper_cloud.api.asset_routes import shown
from hesper_cloud.api.versions import WantedVersion
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.asset_records import ExchangeRow, MeterCard, RegisterRow

router = APIRouter(prefix="/meters/{meter_id}", tags=["meters"])
MeterId = Annotated[str, Path(max_length=64)]


@router.post("/install", response_model=MeterCard)
async def install(
    actor: Who,
    services: Have,
    meter_id: MeterId,
    body: bodies.Installation,
    version: WantedVersion,
) -> Response:
    """Puts a planned or stored meter where it is to work."""
    values = body.said()
    gateway = values.pop("gateway", None)
    found = await services.meter_life.install(actor, meter_id, gateway, values, version)
    return shown(found)


@router.post("/commission", response_model=MeterCard)
async def commission(
    actor: Who,
    services: Have,
    meter_id: MeterId,
    body: bodies.Commissioning,
    version: WantedVersion,
) -> Response:
    """Takes an installed meter into service with its first read."""
    first = body.first_read.wish() if body.first_read else None
    return shown(
        await services.meter_life.commission(
            actor, meter_id, first, life_support=body.life_support, version=version
        )
    )


@router.post("/exchange", response_model=ExchangeRow, status_code=201)
async def exchange(
    actor: Who, services: Have, meter_id: MeterId, body: bodies.Exchange, version: WantedVersion
) -> Response:
    """Puts another meter in this one's place, with final and initial register."""
    found = await services.meter_life.exchange(actor, meter_id, body.wish(), version)
    return answer(found, 201)


@router.post("/remove", response_model=MeterCard)
async def remove(
    actor: Who, services: Have, meter_id: MeterId, body: bodies.Removal, version: WantedVersion
) -> Response:
    """Takes a meter out of service."""
    final = body.final_read.wish() if body.final_read else None
    return shown(await services.meter_life.remove(actor, meter_id, body.reason, final, version))


@router.post("/protect", response_model=MeterCard)
async def protect(
    actor: Who, services: Have, meter_id: MeterId, body: bodies.Protecting
) -> Response:
    """Lists a meter's supply as one that is never cut; this is not taken back here."""
    return shown(await services.meter_life.protect(actor, meter_id, body.reason))


@router.get("/registers", response_model=list[RegisterRow])
async def registers(actor: Who, services: Have, meter_id: MeterId) -> Response:
    """Lists what registers showed when this meter went into service or out of it."""
    return answer(await services.meter_life.registers(actor, meter_id))


@router.get("/exchanges", response_model=list[ExchangeRow])
async def exchanges(actor: Who, services: Have, meter_id: MeterId) -> Response:
    """Lists the exchanges that this meter took part in, newest first."""
    return answer(await services.meter_life.exchanges(actor, meter_id))
