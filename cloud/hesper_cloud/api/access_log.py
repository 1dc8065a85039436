"""Who looked at which household's interval data; for those who may read the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from hesper_cloud.api.paging import Paged, paged
from hesper_cloud.api.who import Have, Who
from hesper_cloud.services.access_log import AccessRow, Wanted

router = APIRouter(tags=["access log"])


class AccessQuery(Paged):
    """What looks may be asked for."""

    meter: str = Field(default="", max_length=32, description="Looks at all meters count, too")
    who: str = Field(default="", max_length=128, description="An account")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def wanted(self) -> Wanted:
        """Returns it as the service takes it."""
        return Wanted(self.meter, self.who, self.since, self.until)


class AccessList(BaseModel):
    """A page of looks, newest first."""

    rows: list[AccessRow]
    next: str | None


@router.get("/access-log", response_model=AccessList)
async def access_log(
    request: Request, actor: Who, services: Have, query: Annotated[AccessQuery, Query()]
) -> Response:
    """Lists looks at interval data, newest first: who, by which door, which meter and range."""
    page = await services.access_log.page(actor, query.wanted(), query.asked())
    return paged(request, list(page.rows), page.next_cursor)
