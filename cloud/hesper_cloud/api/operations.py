"""What an operator watches: overview, gateways, dead letters, audit."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, Field

from hesper_cloud.api.paging import Paged, linked, listed
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.paging import MOST_ROWS
from hesper_cloud.services.audit import AuditFilter
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
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\x00]*$")]


class GatewayQuery(Paged):
    """Which gateways; all that fit every filter."""

    limit: int = Field(default=MOST_ROWS, ge=1, le=MOST_ROWS, description="Rows on a page")
    state: Literal["unknown", "online", "offline"] | None = None
    search: Name = Field(default="", description="Contained in the name")


class AuditQuery(Paged):
    """Which entries of the audit log; all that fit every filter."""

    offset: int = Field(default=0, ge=0, lt=2**31, description="Rather than this, take `cursor`")
    subject: Name = Field(default="", description="Contained in the subject")
    actor: Name = ""
    action: Name = ""
    start: AwareDatetime | None = Field(default=None, alias="from")
    end: AwareDatetime | None = Field(default=None, alias="to", description="Left out itself")

    def wanted(self) -> AuditFilter:
        """Returns it as services take it."""
        return AuditFilter(self.subject, self.actor, self.action, self.start, self.end)


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
async def gateways(
    request: Request, actor: Who, services: Have, asked: Annotated[GatewayQuery, Query()]
) -> Response:
    """Lists gateways by name; the next page is in the ``Link`` header."""
    found = services.gateways.page(actor, asked.asked(), asked.state, asked.search)
    return listed(request, *await found)


@router.get("/dead-letters", response_model=list[DeadLetterRow])
async def dead_letters(
    request: Request, actor: Who, services: Have, asked: Annotated[Paged, Query()]
) -> Response:
    """Lists messages that could not be decoded; the next page is in the ``Link`` header."""
    return listed(request, *await services.gateways.dead_letters(actor, asked.asked()))


@router.get("/audit", response_model=Page[AuditEntry])
async def audit(
    request: Request, actor: Who, services: Have, asked: Annotated[AuditQuery, Query()]
) -> Response:
    """Lists the audit log, newest first."""
    found = await services.audit.entries(actor, asked.wanted(), asked.asked(), asked.offset)
    return linked(request, answer(found), found.next)


@router.get("/audit/verify", response_model=AuditVerdict)
async def verify_audit(actor: Who, services: Have) -> Response:
    """Checks the whole audit chain."""
    return answer(await services.audit.verify(actor))
