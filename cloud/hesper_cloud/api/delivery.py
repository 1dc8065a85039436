"""Where alerts are delivered: targets, routes, tests, and the log of messages."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hesper_cloud.api.paging import Paged, listed
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.delivery.routes import RoutePolicy
from hesper_cloud.delivery.targets import NAME, Config
from hesper_cloud.services.delivery import RouteWish, TargetWish
from hesper_cloud.services.delivery_records import (
    AttemptRow,
    DeliveryRow,
    NewTarget,
    RouteRow,
    TargetRow,
    Tested,
)

router = APIRouter(prefix="/delivery", tags=["delivery"])
LARGEST_ID = 2**31 - 1
RowId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
State = Literal["held", "waiting", "sent", "muted", "expired"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Target(_Body):
    """A target; without ``secret`` the one that is there stays, or one is made for a webhook."""

    name: str = Field(pattern=NAME)
    enabled: bool = True
    config: Config
    secret: str | None = Field(default=None, min_length=8, max_length=500, repr=False)
    version: int = Field(default=0, ge=0, le=LARGEST_ID, description="That was seen; 0: any")

    def wish(self) -> TargetWish:
        """Returns it as the service takes it."""
        return TargetWish(self.name, self.config, self.enabled, self.secret)


class Route(_Body):
    """Which alerts a target is told, and when."""

    name: str = Field(pattern=NAME)
    target: int = Field(ge=1, le=LARGEST_ID)
    enabled: bool = True
    policy: RoutePolicy = RoutePolicy()
    version: int = Field(default=0, ge=0, le=LARGEST_ID, description="That was seen; 0: any")

    def wish(self) -> RouteWish:
        """Returns it as the service takes it."""
        return RouteWish(self.name, self.target, self.policy, self.enabled)


class Messages(Paged):
    """Which messages, and which page of them."""

    state: State | None = None


def _once(made: NewTarget, status: int) -> Response:
    """Returns what may hold a secret, which nobody on the way keeps."""
    response = answer(made, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/targets", response_model=list[TargetRow])
async def delivery_targets(actor: Who, services: Have) -> Response:
    """Lists targets with how they fare; secrets are never shown."""
    return answer(await services.delivery_log.targets(actor))


@router.post("/targets", response_model=NewTarget, status_code=201)
async def make_target(actor: Who, services: Have, body: Target) -> Response:
    """Makes a target; the secret that was made for a webhook is in this answer and never again."""
    return _once(await services.delivery.put_target(actor, body.wish()), 201)


@router.put("/targets/{target_id}", response_model=NewTarget)
async def change_target(actor: Who, services: Have, target_id: RowId, body: Target) -> Response:
    """Changes a target; one that is led to another server needs its secret again."""
    made = await services.delivery.put_target(actor, body.wish(), target_id, body.version)
    return _once(made, 200)


@router.delete("/targets/{target_id}", status_code=204)
async def remove_target(actor: Who, services: Have, target_id: RowId) -> Response:
    """Removes a target with its routes and messages."""
    await services.delivery.remove_target(actor, target_id)
    return Response(status_code=204)


@router.post("/targets/{target_id}/test", response_model=Tested)
async def test_target(actor: Who, services: Have, target_id: RowId) -> Response:
    """Sends a test, and says what the target answered."""
    return answer(await services.delivery.test(actor, target_id))


@router.get("/routes", response_model=list[RouteRow])
async def delivery_routes(actor: Who, services: Have) -> Response:
    """Lists which alerts go where."""
    return answer(await services.delivery_log.routes(actor))


@router.post("/routes", response_model=RouteRow, status_code=201)
async def make_route(actor: Who, services: Have, body: Route) -> Response:
    """Makes a route: which alerts a target is told, quiet hours, digests."""
    return answer(await services.delivery.put_route(actor, body.wish()), 201)


@router.put("/routes/{route_id}", response_model=RouteRow)
async def change_route(actor: Who, services: Have, route_id: RowId, body: Route) -> Response:
    """Changes a route."""
    return answer(await services.delivery.put_route(actor, body.wish(), route_id, body.version))


@router.delete("/routes/{route_id}", status_code=204)
async def remove_route(actor: Who, services: Have, route_id: RowId) -> Response:
    """Removes a route; what is on its way arrives all the same."""
    await services.delivery.remove_route(actor, route_id)
    return Response(status_code=204)


@router.get("/log", response_model=list[DeliveryRow])
async def delivery_messages(
    request: Request, actor: Who, services: Have, which: Annotated[Messages, Query()]
) -> Response:
    """Lists messages, newest first: delivered, waiting, held, muted, given up."""
    rows, following = await services.delivery_log.messages(actor, which.state, which.asked())
    return listed(request, rows, following)


@router.get("/log/{delivery_id}/attempts", response_model=list[AttemptRow])
async def delivery_attempts(actor: Who, services: Have, delivery_id: RowId) -> Response:
    """Lists what was tried to deliver a message."""
    return answer(await services.delivery_log.attempts(actor, delivery_id))
