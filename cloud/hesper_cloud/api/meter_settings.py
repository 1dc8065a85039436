"""Settings of one meter, read and written."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from hesper_cloud.api.commands import IdempotencyKey
from hesper_cloud.api.versions import WantedVersion, versioned
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.meter_settings import BY_COMMAND, SettingsOfMeter, SettingsWish

router = APIRouter(prefix="/meters/{meter_id}/settings", tags=["meters"])
MeterId = Annotated[str, Path(max_length=64)]


class NewSettings(BaseModel):
    """What is to be changed; parameters of commands are as the MQTT contract has them."""

    model_config = ConfigDict(extra="forbid")

    template: str | None = Field(default=None, max_length=64)
    tariff_calendar: dict[str, Any] | None = None
    special_days: dict[str, Any] | None = None
    limiter: dict[str, Any] | None = Field(default=None, examples=[{"threshold_normal": 5000}])
    clock: dict[str, Any] | None = None
    reason: str = Field(default="", max_length=500)
    serial_tail: str = Field(default="", max_length=32)

    def wish(self) -> SettingsWish:
        """Returns it as services take it."""
        said = self.model_dump()
        commands = {name: said[name] for name in BY_COMMAND if said[name] is not None}
        return SettingsWish(commands, self.template, self.reason, self.serial_tail)


@router.get("", response_model=SettingsOfMeter)
async def show(actor: Who, services: Have, meter_id: MeterId) -> Response:
    """Shows each setting: what is desired, what is reported, and since when."""
    found = await services.meter_settings.of(actor, meter_id)
    return versioned(answer(found), found.version)


@router.put("", response_model=SettingsOfMeter, status_code=202)
async def change(
    actor: Who,
    services: Have,
    meter_id: MeterId,
    body: NewSettings,
    version: WantedVersion,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Asks for the commands that change settings, and changes what the registry holds."""
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second command")
    wish = body.wish()
    found = await services.meter_settings.change(actor, meter_id, wish, idempotency_key, version)
    return versioned(answer(found, 202), found.version)
