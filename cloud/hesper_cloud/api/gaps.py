"""The gap ledger: what is missing, why, what was done about it, and what is expected at all."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.records import BackfillRow, GapFilter, GapRow, ProfileRow

router = APIRouter(tags=["gaps"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/gaps", response_model=list[GapRow])
async def gaps(
    actor: Who, services: Have, wanted: Annotated[GapFilter, Depends()], limit: Limit = 200
) -> Response:
    """Lists gaps, newest first; without ``state`` those that may still be filled."""
    return answer(await services.gaps.page(actor, wanted, limit))


@router.get("/backfills", response_model=list[BackfillRow])
async def backfills(
    actor: Who, services: Have, meter: str | None = None, limit: Limit = 200
) -> Response:
    """Lists what gateways were asked to read again, newest first."""
    return answer(await services.gaps.backfills(actor, meter, limit))


@router.get("/meters/{meter}/profiles", response_model=list[ProfileRow])
async def profiles(actor: Who, services: Have, meter: str) -> Response:
    """Lists the profiles that a meter is expected to capture."""
    return answer(await services.gaps.profiles(actor, meter))
