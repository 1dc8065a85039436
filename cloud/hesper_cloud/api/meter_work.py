"""What is asked of one meter: its readings, a read now, its supply cut or given back.

Reads and switching are requests for commands, like those of ``/commands`` and under the same
checks: the answer is 202 with the command as it stands, and where to look for how it ends.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from hesper_cloud import quantities
from hesper_cloud.api.commands import IdempotencyKey
from hesper_cloud.api.description import PREFIX
from hesper_cloud.api.paging import linked
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer, reading
from hesper_cloud.paging import Asked, mark, opened, sealed
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.readings import MAX_ROWS
from hesper_cloud.services.records import CommandRow, CommandWish, RelayAction

router = APIRouter(prefix="/meters/{meter_id}", tags=["meters"])
_ORDER = "-captured_at"
_USUAL = (quantities.ACTIVE_ENERGY_IMPORT, "1.0.2.8.0.255")
_NO_KEY = "send an Idempotency-Key header, so that a repeat makes no second command"


class ReadingValue(BaseModel):
    """One value as the meter said it: integer × 10^scaler in the unit (Blue Book code)."""

    value: int | None
    scaler: int
    unit: int


class ReadingShown(BaseModel):
    """One stored reading."""

    meter: str
    profile: str
    captured_at: datetime
    received_at: datetime
    stored_at: datetime
    clock_status: int
    quality: int
    revision: int
    values: dict[str, ReadingValue]


class ReadingPage(BaseModel):
    """Readings newest first; ``next`` is the cursor of the page that follows."""

    rows: list[ReadingShown]
    next: str | None
    archived_before: AwareDatetime | None = Field(
        default=None, description="Older readings have left the store; set where `from` is before"
    )


class ReadWish(BaseModel):
    """What to read now: registers by logical name, or the state of the relay."""

    what: Literal["registers", "relay"] = "registers"
    logical_names: tuple[str, ...] = Field(default=_USUAL, min_length=1, max_length=64)
    reason: str = Field(default="", max_length=500)


class SwitchWish(BaseModel):
    """Why, and for a disconnection the last four characters of the serial number."""

    reason: str = Field(default="", max_length=500)
    serial_tail: str = Field(default="", max_length=32)


@router.get("/readings", response_model=ReadingPage)
async def readings(
    request: Request,
    actor: Who,
    services: Have,
    meter_id: str,
    start: Annotated[AwareDatetime, Query(alias="from", description="Start, included (RFC 3339)")],
    end: Annotated[AwareDatetime, Query(alias="to", description="End, excluded (RFC 3339)")],
    profile: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1000,
    cursor: Annotated[str, Query(max_length=2048)] = "",
) -> Response:
    """Lists stored readings of a meter, newest first; the profile may be named."""
    filters: dict[str, Any] = {"meter": meter_id, "from": start, "to": end, "profile": profile}
    asked = Asked(limit, cursor, _ORDER, mark(filters))
    if cursor:
        before, _ = opened(asked, _ORDER, (datetime, datetime))
        end = min(end, before)
    rows, next_end = await services.readings.page(actor, meter_id, profile, start, end, limit)
    following = None
    if next_end is not None:
        before = datetime.fromtimestamp(next_end, start.tzinfo)
        following = sealed(asked, _ORDER, (before, before))
    left = await services.readings.archived_before(start)
    body = {"rows": [reading(row) for row in rows], "next": following, "archived_before": left}
    return linked(request, answer(body), following)


@router.post("/read", response_model=CommandRow, status_code=202)
async def read(
    actor: Who, services: Have, meter_id: str, body: ReadWish, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Asks for a read now; what was found is in the command once it is confirmed."""
    if body.what == "relay":
        wish = CommandWish("relay.read", meter_id, {}, body.reason)
    else:
        names = {"logical_names": list(body.logical_names)}
        wish = CommandWish("read.registers", meter_id, names, body.reason)
    return _asked(await services.commands.request(actor, wish, _key(idempotency_key)))


@router.post("/connect", response_model=CommandRow, status_code=202)
async def connect(
    actor: Who,
    services: Have,
    meter_id: str,
    body: SwitchWish,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Asks for the supply to be connected again."""
    return await _switch(services, actor, meter_id, "reconnect", body, _key(idempotency_key))


@router.post("/disconnect", response_model=CommandRow, status_code=202)
async def disconnect(
    actor: Who,
    services: Have,
    meter_id: str,
    body: SwitchWish,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Asks for the supply to be cut; who approves it, and when it may leave, policy says."""
    return await _switch(services, actor, meter_id, "disconnect", body, _key(idempotency_key))


async def _switch(
    services: Have, actor: Who, meter: str, action: RelayAction, body: SwitchWish, key: str
) -> Response:
    command = await services.commands.request_relay(
        actor, meter, action, body.reason, body.serial_tail, key
    )
    return _asked(command)


def _key(idempotency_key: str) -> str:
    if not idempotency_key:
        raise Invalid(_NO_KEY)
    return idempotency_key


def _asked(command: CommandRow) -> Response:
    response = answer(command, 202)
    response.headers["Location"] = f"{PREFIX}/commands/{command.id}"
    return response
