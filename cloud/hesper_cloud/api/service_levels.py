"""Service levels: percentages by day, and the meters behind them, as JSON or CSV."""

from collections.abc import Sequence
from dataclasses import astuple, fields
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.csv_lines import MEDIA_TYPE, document
from hesper_cloud.service_levels.misses import Miss
from hesper_cloud.services.service_levels import LevelDay

router = APIRouter(tags=["service levels"], prefix="/service-levels")
First = Annotated[date | None, Query(alias="from", description="First day, included")]
Last = Annotated[date | None, Query(alias="to", description="Last day, included")]
Format = Literal["json", "csv"]


@router.get("", response_model=list[LevelDay])
async def all_levels(
    actor: Who,
    services: Have,
    first: First = None,
    last: Last = None,
    format: Format = "json",  # noqa: A002 - its name in the address
) -> Response:
    """Lists what each level reached by day, newest first."""
    return _answer(await services.service_levels.days(actor, None, first, last), LevelDay, format)


@router.get("/{level}", response_model=list[LevelDay])
async def one_level(
    actor: Who,
    services: Have,
    level: str,
    first: First = None,
    last: Last = None,
    format: Format = "json",  # noqa: A002 - its name in the address
) -> Response:
    """Lists what one level reached by day, newest first."""
    return _answer(await services.service_levels.days(actor, level, first, last), LevelDay, format)


@router.get("/{level}/misses", response_model=list[Miss])
async def misses(
    actor: Who,
    services: Have,
    level: str,
    day: date,
    format: Format = "json",  # noqa: A002 - its name in the address
) -> Response:
    """Lists the meters that missed a level on a day, with cause and failing hop, worst first."""
    return _answer(await services.service_levels.misses(actor, level, day), Miss, format)


def _answer(
    rows: Sequence[LevelDay] | Sequence[Miss], kind: type[LevelDay] | type[Miss], wanted: Format
) -> Response:
    if wanted == "json":
        return answer(list(rows))
    titles = [field.name for field in fields(kind)]
    return Response(document([titles, *map(astuple, rows)]), media_type=MEDIA_TYPE)
