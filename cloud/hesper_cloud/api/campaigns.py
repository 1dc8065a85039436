"""Firmware campaigns: proposed, decided, followed through their funnel.

They are at ``/campaigns``; where they were before, ``/firmware/campaigns``, answers the same and
says that it is going.
"""

import uuid
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from hesper_cloud.api.batches import MOST_METERS, DecisionBody, Selection
from hesper_cloud.api.deprecation import going
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.batch_records import BatchVerb, BatchView
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.firmware_records import SOAK_S, WAVES, CampaignOrder, CampaignView
from hesper_cloud.services.records import MeterQuery

router = APIRouter(prefix="/campaigns", tags=["firmware"])
before = APIRouter(tags=["firmware"])
_MOVED = going(date(2026, 11, 21), "/api/v1/campaigns")
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=128)]


class Window(BaseModel):
    """The time of day in which commands leave, by the clocks of a zone; may span midnight."""

    model_config = ConfigDict(extra="forbid")

    opens: str = Field(max_length=5, examples=["22:00"])
    closes: str = Field(max_length=5, examples=["05:00"])
    zone: str = Field(default="UTC", max_length=64)


class _Terms(BaseModel):
    """Which image, and how it is to leave: in waves, or the canary first and then the rest."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(max_length=64)
    version: str = Field(max_length=64)
    reason: str = Field(max_length=500)
    window: Window | None = None
    canary: int | None = None
    waves: list[int] | None = Field(
        default=None, max_length=9, description="percent of the rows; what is left is the last"
    )
    soak_s: int | None = Field(
        default=SOAK_S, description="from a wave's end to the next; null: a person lets it begin"
    )
    wave_size: int = 100
    per_hour: int = 3_600
    stop_percent: int = 10

    def order(self, at: str | None = None, **targets: Any) -> CampaignOrder:
        """Returns it as services take it; ``targets`` are their names or their query."""
        wish: dict[str, Any] = {"image": self.image, "version": self.version}
        if self.window:
            wish["window"] = self.window.model_dump()
        if at:
            wish["at"] = at
        return CampaignOrder(wish, self.reason, terms=self._terms(), **targets)

    def _terms(self) -> dict[str, Any]:
        names = ("wave_size", "per_hour", "stop_percent")
        terms = {name: getattr(self, name) for name in names}
        waves = self.waves
        if waves is None and self.canary is None:
            waves = list(WAVES)
        if self.canary is not None:
            terms["canary"] = self.canary
        return terms | {"waves": waves, "soak_s": self.soak_s} if waves else terms


class CampaignRequest(_Terms):
    """An image for meters (by name or query) or for gateways (by name)."""

    names: list[str] = Field(default_factory=list, max_length=MOST_METERS)
    query: Selection | None = None


class ActivationRequest(_Terms):
    """The activation of what a campaign has brought; ``at``: not before this time."""

    at: str | None = Field(default=None, max_length=40)


@router.post("", response_model=CampaignView, status_code=201)
async def propose(
    actor: Who, services: Have, body: CampaignRequest, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Proposes a campaign; the authority freezes its list and answers with the hash of it."""
    _require(idempotency_key)
    query = MeterQuery(**body.query.model_dump()) if body.query else None
    order = body.order(names=tuple(body.names), query=query)
    return answer(await services.campaigns.propose(actor, order, idempotency_key), 201)


@router.get("", response_model=list[CampaignView])
async def campaigns(
    actor: Who, services: Have, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Response:
    """Lists campaigns, newest first."""
    return answer(await services.campaigns.all(actor, limit))


@router.get("/{campaign}", response_model=CampaignView)
async def campaign(actor: Who, services: Have, campaign: str) -> Response:
    """Shows one campaign with its funnel."""
    return answer(await services.campaigns.get(actor, campaign))


@router.post("/{campaign}/activation", response_model=BatchView, status_code=201)
async def activate(
    actor: Who,
    services: Have,
    campaign: str,
    body: ActivationRequest,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Proposes the activation at the meters that have verified the image, a batch of its own."""
    _require(idempotency_key)
    order = body.order(at=body.at)
    return answer(await services.campaigns.activate(actor, campaign, order, idempotency_key), 201)


@router.post("/{batch}/{verb}", response_model=BatchView)
async def decide(
    actor: Who,
    services: Have,
    batch: str,
    verb: BatchVerb,
    body: DecisionBody,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Approves, rejects, pauses, resumes, aborts or retries a campaign or an activation."""
    key = idempotency_key or uuid.uuid4().hex
    return answer(await services.campaigns.decide(actor, batch, body.decision(verb), key))


def _require(idempotency_key: str) -> None:
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second campaign")


for _route in router.routes:
    if isinstance(_route, APIRoute):
        before.add_api_route(
            f"/firmware{_route.path}",
            _route.endpoint,
            methods=sorted(_route.methods or ()),
            response_model=_route.response_model,
            status_code=_route.status_code,
            deprecated=True,
            openapi_extra=_MOVED,
        )
