"""Batches of commands: proposed, decided, followed row by row."""

import uuid
from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hesper_cloud.api.proven import Proven
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.batch_records import (
    BatchOrder,
    BatchRowView,
    BatchVerb,
    BatchView,
    Decision,
    Exclusion,
)
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.records import MeterQuery, MeterState, Page, RelayFilter

router = APIRouter(prefix="/batches", tags=["batches"])
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=128)]
MOST_METERS = 1_000_000


class Selection(BaseModel):
    """Which meters, as the list of meters filters them."""

    model_config = ConfigDict(extra="forbid")

    search: str = Field(default="", max_length=200)
    state: MeterState | None = None
    relay: RelayFilter | None = None
    gateway: str | None = None


class BatchRequest(BaseModel):
    """One kind of command for many meters, and how it is to leave."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=64)
    reason: str = Field(max_length=500)
    meters: list[str] = Field(default_factory=list, max_length=MOST_METERS)
    query: Selection | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    canary: int = 5
    wave_size: int = 100
    per_hour: int = 3_600
    stop_percent: int = 10

    def order(self) -> BatchOrder:
        """Returns it as services take it."""
        told = {name: getattr(self, name) for name in BatchRequest.model_fields}
        query = MeterQuery(**self.query.model_dump()) if self.query else None
        return BatchOrder(**told | {"meters": tuple(self.meters), "query": query})


class DecisionBody(Proven):
    """Why; and to let a batch go on, the hash that was shown with the own password."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)
    digest: str = Field(default="", max_length=64)
    stood_at: AwareDatetime | None = Field(
        default=None,
        description="`updated_at` as it was shown: a batch that has moved since does not go on",
    )

    def decision(self, verb: BatchVerb) -> Decision:
        """Returns it as services take it."""
        stood_at = self.stood_at and self.stood_at.astimezone(UTC)
        return Decision(verb, self.reason, self.digest, self.proof.to_text(), stood_at)


@router.post("", response_model=BatchView, status_code=201)
async def propose(
    actor: Who, services: Have, body: BatchRequest, idempotency_key: IdempotencyKey = ""
) -> Response:
    """Proposes a batch; the authority freezes its list and answers with the hash of it."""
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second batch")
    return answer(await services.batches.propose(actor, body.order(), idempotency_key), 201)


@router.get("", response_model=list[BatchView])
async def batches(
    actor: Who,
    services: Have,
    state: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Lists batches, newest first."""
    return answer(await services.batches.list(actor, state, limit))


@router.get("/{batch_id}", response_model=BatchView)
async def batch(actor: Who, services: Have, batch_id: str) -> Response:
    """Shows one batch with its rows counted by state."""
    return answer(await services.batches.get(actor, batch_id))


@router.get("/{batch_id}/rows", response_model=Page[BatchRowView])
async def rows(
    actor: Who,
    services: Have,
    batch_id: str,
    state: str | None = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Shows a part of a batch's rows, in the order of its list."""
    return answer(await services.batches.rows(actor, batch_id, state, offset, limit))


@router.get("/{batch_id}/excluded", response_model=list[Exclusion])
async def excluded(actor: Who, services: Have, batch_id: str) -> Response:
    """Says why rows of a batch take no part, and how many for each cause."""
    return answer(await services.batches.excluded(actor, batch_id))


@router.get("/{batch_id}/rows.csv")
async def rows_as_csv(actor: Who, services: Have, batch_id: str) -> StreamingResponse:
    """Streams all rows with their results as CSV."""
    named = {"Content-Disposition": f'attachment; filename="batch-{batch_id[:8]}.csv"'}
    lines = await services.batches.csv(actor, batch_id)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=named)


@router.post("/{batch_id}/{verb}", response_model=BatchView)
async def decide(
    actor: Who,
    services: Have,
    batch_id: str,
    verb: BatchVerb,
    body: DecisionBody,
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Approves, rejects, pauses, resumes, aborts, retries what failed, or lets more leave."""
    key = idempotency_key or uuid.uuid4().hex
    return answer(await services.batches.decide(actor, batch_id, body.decision(verb), key))
