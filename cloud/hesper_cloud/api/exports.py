"""The change feed, and readings in the formats of other systems."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from hesper_cloud import quantities
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer, reading
from hesper_cloud.exports.formats import FORMATS, FormatName
from hesper_cloud.exports.running import Wanted, name_of
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.exports import MOST_CHANGES, ExportRunRow
from hesper_cloud.services.sources import epoch

router = APIRouter(tags=["exports"])
From = Annotated[AwareDatetime, Query(alias="from", description="Start, included (RFC 3339)")]
To = Annotated[AwareDatetime, Query(alias="to", description="End, excluded (RFC 3339)")]
Profile = Annotated[str, Query(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){5}$")]


_KINDS: dict[str, dict[str, str]] = {each.media_type: {} for each in FORMATS.values()}


@router.get("/readings/changes")
async def changes(
    actor: Who,
    services: Have,
    cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=MOST_CHANGES)] = 1000,
) -> Response:
    """Lists readings in the order they were stored, after ``cursor``; ask again with the next."""
    found = await services.exports.changes(actor, cursor, limit)
    return answer({"rows": [reading(row) for row in found.readings], "cursor": found.cursor})


@router.get("/exports/readings", response_class=Response, responses={200: {"content": _KINDS}})
async def export(
    actor: Who,
    services: Have,
    start: From,
    end: To,
    format: FormatName = "csv",  # noqa: A002 - its name in the address
    profile: Profile = quantities.LOAD_PROFILE,
    meter: Annotated[list[str] | None, Query(description="Once or more; all without it")] = None,
    validated: bool = False,
) -> StreamingResponse:
    """Streams readings of one profile as CSV, Parquet, Green Button or IEC 61968-9.

    ``validated`` gives them as they count, edits and estimates in place, each with its quality.
    """
    meters = None if meter is None else sorted(set(meter))
    try:
        wanted = Wanted(format, profile, epoch(start), epoch(end), meters, validated)
    except ValueError:
        raise Invalid("the range is empty") from None
    named = {"Content-Disposition": f'attachment; filename="{name_of(wanted)}"'}
    octets = await asyncio.to_thread(services.exports.octets, actor, wanted)
    return StreamingResponse(octets, media_type=FORMATS[format].media_type, headers=named)


@router.get("/exports/runs", response_model=list[ExportRunRow])
async def runs(
    actor: Who, services: Have, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Response:
    """Lists the newest runs of scheduled exports."""
    return answer(await services.exports.runs(actor, limit))
