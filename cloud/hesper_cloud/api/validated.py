"""Validated readings, their quality, and edits."""

from dataclasses import asdict
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

from hesper_cloud import quantities
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer, instant
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.validated import DayQuality, EditRow
from hesper_cloud.validation.substitutes import Curve, Edit

router = APIRouter(tags=["validated readings"])
From = Annotated[AwareDatetime, Query(alias="from", description="Start, included (RFC 3339)")]
To = Annotated[AwareDatetime, Query(alias="to", description="End, excluded (RFC 3339)")]
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=100)]
_NO_KEY = "send an Idempotency-Key header, so that a repeat makes no second edit"


class NewEdit(BaseModel):
    """What a person puts in the place of one value, and why."""

    meter: str
    logical_name: str
    captured_at: AwareDatetime
    value: int
    scaler: int = 0
    unit: int
    reason: str = Field(min_length=1, max_length=500)
    profile: str = quantities.LOAD_PROFILE


class Withdrawal(BaseModel):
    """Why an edit is taken back."""

    reason: str = Field(min_length=1, max_length=500)


@router.get("/readings/validated")
async def readings(
    actor: Who,
    services: Have,
    meter: str,
    logical_name: str,
    start: From,
    end: To,
    profile: str = quantities.LOAD_PROFILE,
) -> Response:
    """Shows a curve as it counts: raw values, estimates and edits with their quality codes."""
    found = await services.validated.readings(actor, meter, logical_name, start, end, profile)
    values = [
        {
            "captured_at": instant(each.captured_at),
            "value": each.value,
            "source": each.source,
            "grade": int(each.grade),
            "codes": each.codes,
            "raw": each.raw,
        }
        for each in found.values
    ]
    left = await services.readings.archived_before(start)
    head = {"meter": meter, "profile": profile, "logical_name": logical_name}
    return answer(
        head
        | {"archived_before": left, "scaler": found.scaler, "unit": found.unit, "values": values}
    )


@router.get("/meters/{meter_id}/quality", response_model=list[DayQuality])
async def quality(
    actor: Who,
    services: Have,
    meter_id: str,
    first: Annotated[date, Query(alias="from")],
    last: Annotated[date, Query(alias="to", description="Included")],
) -> Response:
    """Shows how good each local day of a meter is, from 0 to 100."""
    return answer(await services.validated.quality(actor, meter_id, first, last))


@router.get("/meters/{meter_id}/voltage-weeks")
async def voltage_weeks(
    actor: Who,
    services: Have,
    meter_id: str,
    first: Annotated[date, Query(alias="from")],
    last: Annotated[date, Query(alias="to", description="Included")],
) -> Response:
    """Assesses a meter's voltages by the local week, Monday to Sunday, after EN 50160."""
    found = await services.validated.voltage_weeks(actor, meter_id, first, last)
    return answer(
        [
            {"week": each.monday, "logical_name": each.logical_name} | asdict(each.assessment)
            for each in found
        ]
    )


@router.get("/quality", response_model=list[DayQuality])
async def worst(
    actor: Who, services: Have, day: date, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> Response:
    """Lists the meters with the worst quality of a local day."""
    return answer(await services.validated.worst(actor, day, limit))


@router.get("/meters/{meter_id}/checks")
async def failed_checks(
    actor: Who, services: Have, meter_id: str, start: From, end: To
) -> Response:
    """Lists where a meter's readings failed a check of validation."""
    found = await services.validated.failed_checks(actor, meter_id, start, end)
    return answer(
        [
            {
                "check": each.check,
                "logical_name": each.logical_name or None,
                "from": instant(each.from_at),
                "to": instant(each.to_at),
                "captures": each.captures,
            }
            for each in found
        ]
    )


@router.get("/readings/edits", response_model=list[EditRow])
async def edits(
    actor: Who, services: Have, meter: str, start: From, end: To, history: bool = False
) -> Response:
    """Lists estimates and edits of a meter; with ``history`` those that no longer hold, too."""
    return answer(await services.validated.edits(actor, meter, start, end, history=history))


@router.post("/readings/edits", response_model=EditRow, status_code=201)
async def edit(actor: Who, services: Have, body: NewEdit, idempotency_key: Key = "") -> Response:
    """Edits one value; the raw one stays, and the reason goes into the audit log first."""
    if not idempotency_key:
        raise Invalid(_NO_KEY)
    new = Edit(
        Curve(body.meter, body.profile, body.logical_name),
        body.captured_at,
        body.value,
        body.scaler,
        body.unit,
        body.reason,
        idempotency_key,
    )
    return answer(await services.validated.edit(actor, new), 201)


@router.post("/readings/edits/{edit_id}/withdraw", response_model=EditRow)
async def withdraw(
    actor: Who, services: Have, edit_id: int, body: Withdrawal, idempotency_key: Key = ""
) -> Response:
    """Takes an edit back; what is stored counts again."""
    if not idempotency_key:
        raise Invalid(_NO_KEY)
    return answer(await services.validated.withdraw(actor, edit_id, body.reason, idempotency_key))
