"""What an operator watches: overview, gateways, dead letters, audit."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.records import (
    AttentionRow,
    AuditEntry,
    AuditVerdict,
    CompletenessHour,
    DeadLetterRow,
    FleetLoad,
    GatewayRow,
    Overview,
    Page,
)

router = APIRouter(tags=["operations"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/overview", response_model=Overview)
async def overview(actor: Who, services: Have) -> Response:
    """Shows the figures of the first page."""
    return answer(await services.overview.figures(actor))


@router.get("/overview/load", response_model=FleetLoad)
async def load(actor: Who, services: Have) -> Response:
    """Shows the fleet's load over 24 h against the day before, watts."""
    return answer(await services.overview.load_24h(actor))


@router.get("/overview/completeness", response_model=list[CompletenessHour])
async def completeness(actor: Who, services: Have) -> Response:
    """Shows due and stored captures per hour."""
    return answer(await services.overview.completeness_by_hour(actor))


@router.get("/overview/attention", response_model=list[AttentionRow])
async def attention(actor: Who, services: Have) -> Response:
    """Lists what needs attention, grouped by cause."""
    return answer(await services.overview.needs_attention(actor))


@router.get("/gateways", response_model=list[GatewayRow])
async def gateways(actor: Who, services: Have) -> Response:
    """Lists gateways."""
    return answer(await services.gateways.list(actor))


@router.get("/dead-letters", response_model=list[DeadLetterRow])
async def dead_letters(actor: Who, services: Have, limit: Limit = 100) -> Response:
    """Lists messages that could not be decoded."""
    return answer(await services.gateways.dead_letters(actor, limit))


@router.get("/audit", response_model=Page[AuditEntry])
async def audit(
    actor: Who, services: Have, offset: int = 0, limit: Limit = 100, subject: str = ""
) -> Response:
    """Lists the audit log, newest first."""
    return answer(await services.audit.page(actor, offset, limit, subject))


@router.get("/audit/verify", response_model=AuditVerdict)
async def verify_audit(actor: Who, services: Have) -> Response:
    """Checks the whole audit chain."""
    return answer(await services.audit.verify(actor))
