"""Commands to meters and the kill switch."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from hesper_contracts.tunnel import DURATION_MAX_S, OCTETS_MAX
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from hesper_cloud.api.paging import Paged, listed
from hesper_cloud.api.proven import Proven
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.conversations import ConversationRow
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.records import CommandRow, CommandWish, KillSwitchState, RelayAction

router = APIRouter(tags=["commands"])
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=128)]


class RelayRequest(BaseModel):
    """What an operator asks for; ``serial_tail`` is the last four characters of the serial."""

    meter: str
    action: RelayAction
    reason: str = Field(default="", max_length=500)
    serial_tail: str = ""


class KindRequest(BaseModel):
    """A command by its kind and the parameters that the MQTT contract has for it.

    A kind that is for a gateway itself names the gateway, every other kind a meter.
    """

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=64)
    meter: str = ""
    gateway: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    reason: str = Field(default="", max_length=500)
    serial_tail: str = ""

    def wish(self) -> CommandWish:
        """Returns it as services take it."""
        return CommandWish(
            kind=self.kind,
            meter=self.meter,
            gateway=self.gateway,
            parameters=self.parameters,
            reason=self.reason,
            serial_tail=self.serial_tail,
        )


def _form(body: Any) -> str:
    """Tells the two forms of a request apart."""
    return "relay" if not isinstance(body, dict) or "action" in body else "kind"


CommandRequest = Annotated[
    Annotated[RelayRequest, Tag("relay")] | Annotated[KindRequest, Tag("kind")],
    Discriminator(_form),
]


class TunnelRequest(BaseModel):
    """Which meter's line is to be reached, for how long, and how much may go through it."""

    meter: str
    reason: str = Field(default="", max_length=500)
    serial_tail: str = ""
    duration_s: int = Field(ge=1, le=DURATION_MAX_S)
    octets_max: int = Field(default=1024 * 1024, ge=1, le=OCTETS_MAX)
    idle_s: int = Field(default=60, ge=1, le=DURATION_MAX_S)


class Approval(Proven):
    """The approver's own password again, and the code where there is a second factor."""


class Rejection(BaseModel):
    """Why not."""

    reason: str = Field(default="", max_length=500)


class KillSwitchSetting(Proven):
    """Engaging asks for a reason; lifting for two other approvers' passwords too."""

    engaged: bool
    reason: str = Field(min_length=1, max_length=500)


@router.post("/commands", response_model=CommandRow, status_code=201)
async def request(
    actor: Who, services: Have, body: CommandRequest, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Asks for a command; the same ``Idempotency-Key`` never makes a second one."""
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second command")
    if isinstance(body, KindRequest):
        return answer(await services.commands.request(actor, body.wish(), idempotency_key), 201)
    command = await services.commands.request_relay(
        actor, body.meter, body.action, body.reason, body.serial_tail, idempotency_key
    )
    return answer(command, 201)


@router.post("/tunnels", response_model=CommandRow, status_code=201)
async def request_tunnel(
    actor: Who, services: Have, body: TunnelRequest, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Asks for a transparent tunnel, which a second person approves like a disconnect."""
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second tunnel")
    limits = body.model_dump(include={"duration_s", "octets_max", "idle_s"})
    wish = CommandWish("tunnel.open", body.meter, limits, body.reason, body.serial_tail)
    return answer(await services.commands.request(actor, wish, idempotency_key), 201)


class CommandFilter(Paged):
    """Which commands; ``state=open`` for those that may still change."""

    state: str | None = Field(default=None, max_length=32)
    meter: str | None = Field(default=None, max_length=32)


@router.get("/commands", response_model=list[CommandRow])
async def commands(
    request: Request, actor: Who, services: Have, asked: Annotated[CommandFilter, Query()]
) -> Response:
    """Lists commands, newest first; sorts by `created_at`, `updated_at` and `meter`."""
    rows, following = await services.commands.page(actor, asked.state, asked.meter, asked.asked())
    return listed(request, rows, following)


@router.get("/commands/{command_id}", response_model=CommandRow)
async def command(actor: Who, services: Have, command_id: str) -> Response:
    """Shows one command."""
    return answer(await services.commands.get(actor, command_id))


@router.get("/commands/{command_id}/conversation", response_model=ConversationRow)
async def conversation(actor: Who, services: Have, command_id: str) -> Response:
    """Shows what was said on the line: octets with their meaning, passwords and keys left out."""
    return answer(await services.conversations.get(actor, command_id))


@router.post("/commands/{command_id}/approve", response_model=CommandRow)
async def approve(
    actor: Who,
    services: Have,
    command_id: str,
    body: Approval,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Approves a waiting command."""
    key, password = idempotency_key or uuid.uuid4().hex, body.proof.to_text()
    return answer(await services.commands.approve(actor, command_id, password, key))


@router.post("/commands/{command_id}/reject", response_model=CommandRow)
async def reject(actor: Who, services: Have, command_id: str, body: Rejection) -> Response:
    """Turns a waiting command down."""
    return answer(await services.commands.reject(actor, command_id, body.reason))


@router.post("/commands/{command_id}/cancel", response_model=CommandRow)
async def cancel(actor: Who, services: Have, command_id: str) -> Response:
    """Takes back a command that has not been signed."""
    return answer(await services.commands.cancel(actor, command_id))


@router.get("/kill-switch", response_model=KillSwitchState)
async def kill_switch(actor: Who, services: Have) -> Response:
    """Shows how the kill switch stands."""
    return answer(await services.commands.kill_switch(actor))


@router.put("/kill-switch", response_model=KillSwitchState)
async def set_kill_switch(actor: Who, services: Have, body: KillSwitchSetting) -> Response:
    """Engages or lifts the kill switch."""
    password = body.proof.to_text()
    return answer(
        await services.commands.set_kill_switch(actor, body.engaged, body.reason, password)
    )
