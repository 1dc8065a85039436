"""The gap ledger: what is missing, why, what was done about it, and what is expected at all."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from hesper_cloud.api.paging import Paged, listed
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.paging import MOST_ROWS
from hesper_cloud.services.records import BackfillRow, GapFilter, GapRow, ProfileRow

router = APIRouter(tags=["gaps"])
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")]


class GapQuery(Paged):
    """Which gaps; all that fit every filter."""

    limit: int = Field(default=200, ge=1, le=MOST_ROWS, description="Rows on a page")
    state: Literal["open", "requested", "closed", "given_up"] | None = None
    meter: Name | None = None
    profile: Name | None = None
    cause: Name | None = None

    def wanted(self) -> GapFilter:
        """Returns it as services take it."""
        return GapFilter(self.state, self.meter, self.profile, self.cause)


class BackfillQuery(Paged):
    """Which backfills."""

    limit: int = Field(default=200, ge=1, le=MOST_ROWS, description="Rows on a page")
    meter: Name | None = None


@router.get("/gaps", response_model=list[GapRow])
async def gaps(
    request: Request, actor: Who, services: Have, asked: Annotated[GapQuery, Query()]
) -> Response:
    """Lists gaps, newest first; without ``state`` those that may still be filled."""
    return listed(request, *await services.gaps.page(actor, asked.wanted(), asked.asked()))


@router.get("/backfills", response_model=list[BackfillRow])
async def backfills(
    request: Request, actor: Who, services: Have, asked: Annotated[BackfillQuery, Query()]
) -> Response:
    """Lists what gateways were asked to read again, newest first."""
    return listed(request, *await services.gaps.backfills(actor, asked.meter, asked.asked()))


@router.get("/meters/{meter}/profiles", response_model=list[ProfileRow])
async def profiles(actor: Who, services: Have, meter: str) -> Response:
    """Lists the profiles that a meter is expected to capture."""
    return answer(await services.gaps.profiles(actor, meter))
