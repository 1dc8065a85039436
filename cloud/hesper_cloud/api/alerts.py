"""Alerts: listed by priority; acknowledged, shelved, assigned, noted, one or many at once."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hesper_cloud.api.paging import Paged, listed
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services import alert_actions
from hesper_cloud.services.alert_actions import MOST_WORDS, Make
from hesper_cloud.services.alert_records import (
    AlertDetail,
    AlertFilter,
    AlertRates,
    Done,
    Selection,
)
from hesper_cloud.services.alerts import MOST_WINDOWS
from hesper_cloud.services.records import AlertRow

router = APIRouter(prefix="/alerts", tags=["alerts"])
LARGEST_ID = 2**31 - 1
AlertId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Name = Annotated[str, Field(max_length=200)]
State = Literal["new", "acknowledged", "shelved", "cleared", "open"]
Words = Annotated[str, Field(max_length=MOST_WORDS)]


class Which(BaseModel):
    """Which alerts; without ``suppressed``, ``meter`` and ``parent`` no hidden ones."""

    state: State | None = None
    severity: Literal["info", "warning", "critical"] | None = None
    rule: Name | None = None
    meter: Name | None = None
    gateway: Name | None = None
    element: Name | None = Field(default=None, description="An element of the topology")
    area: Name | None = None
    group: Name | None = Field(default=None, description="A root cause, as alerts name it")
    assigned_to: Name | None = Field(default=None, description="A user, or `nobody`")
    parent: int | None = Field(default=None, ge=1, le=LARGEST_ID)
    suppressed: bool | None = Field(default=None, description="Gave way to a parent")
    min_priority: int | None = Field(default=None, ge=0, le=1000)
    since: AwareDatetime | None = Field(default=None, description="Raised then or later")
    until: AwareDatetime | None = Field(default=None, description="Raised before")

    def wanted(self) -> AlertFilter:
        """Returns it as services take it."""
        return AlertFilter(**{name: getattr(self, name) for name in Which.model_fields})


class Listed(Paged, Which):
    """Which alerts, and which page of them."""


class Held(Which):
    """Which alerts are to be held; by ``ids`` only those among them that the rest finds, too."""

    model_config = ConfigDict(extra="forbid")
    ids: tuple[Annotated[int, Field(ge=1, le=LARGEST_ID)], ...] | None = Field(
        default=None, max_length=1000
    )

    def wanted(self) -> AlertFilter:
        """Returns it as services take it."""
        return replace(super().wanted(), ids=self.ids)


class Acknowledgement(BaseModel):
    """What the person who has seen it notes."""

    note: str = Field(default="", max_length=500)


class Shelving(BaseModel):
    """Until when an alert is put away, and why."""

    until: AwareDatetime
    reason: Words = Field(min_length=1)


class Unshelving(BaseModel):
    """Why an alert is wanted back before its time."""

    reason: Words = ""


class Assignment(BaseModel):
    """Whose it is from now on; null for nobody's."""

    to: Name | None


class Note(BaseModel):
    """What a person has to say of an alert."""

    text: Words = Field(min_length=1)


class Together(BaseModel):
    """One action on all alerts of a selection; ``count`` is what the selection said."""

    action: Literal["acknowledge", "shelve", "unshelve", "assign", "note"]
    count: int = Field(ge=0, le=LARGEST_ID)
    text: Words = Field(default="", description="The note or the reason")
    until: AwareDatetime | None = Field(default=None, description="Of shelving")
    to: Name | None = Field(default=None, description="Of assigning")

    def make(self) -> Make:
        """Returns the action."""
        match self.action:
            case "acknowledge":
                return alert_actions.acknowledge(self.text)
            case "shelve":
                return alert_actions.shelve(self.until, self.text)
            case "unshelve":
                return alert_actions.unshelve(self.text)
            case "assign":
                return alert_actions.assign(self.to)
            case "note":
                return alert_actions.add_note(self.text)


@router.get("", response_model=list[AlertRow])
async def alerts(
    request: Request, actor: Who, services: Have, which: Annotated[Listed, Query()]
) -> Response:
    """Lists alerts, the most urgent first; the next page is in the ``Link`` header."""
    rows, following = await services.alerts.page(actor, which.wanted(), which.asked())
    return listed(request, rows, following)


@router.get("/rates", response_model=AlertRates)
async def alert_rates(
    actor: Who, services: Have, windows: Annotated[int, Query(ge=1, le=MOST_WINDOWS)] = 144
) -> Response:
    """Shows how many alerts were new in each span of ten minutes, the newest last."""
    return answer(await services.alerts.rates(actor, windows))


@router.post("/selections", response_model=Selection, status_code=201)
async def hold_alerts(actor: Who, services: Have, body: Held) -> Response:
    """Holds what a filter finds, and counts it; one action may follow within 15 minutes."""
    return answer(await services.alert_selections.hold(actor, body.wanted()), 201)


@router.post("/selections/{selection_id}", response_model=Done)
async def act_on_selection(
    actor: Who,
    services: Have,
    selection_id: Annotated[str, Path(max_length=36)],
    body: Together,
) -> Response:
    """Does one thing to all alerts that are held; those for which it means nothing are counted."""
    done = await services.alert_selections.act(actor, selection_id, body.count, body.make())
    return answer(done)


@router.get("/{alert_id}", response_model=AlertDetail)
async def alert(actor: Who, services: Have, alert_id: AlertId) -> Response:
    """Shows one alert with its notes and its history."""
    return answer(await services.alerts.get(actor, alert_id))


@router.post("/{alert_id}/acknowledge", response_model=AlertRow)
async def acknowledge(
    actor: Who, services: Have, alert_id: AlertId, body: Acknowledgement
) -> Response:
    """Marks an alert as seen."""
    return answer(await services.alerts.acknowledge(actor, alert_id, body.note))


@router.post("/{alert_id}/shelve", response_model=AlertRow)
async def shelve(actor: Who, services: Have, alert_id: AlertId, body: Shelving) -> Response:
    """Puts an alert away; it comes back by itself."""
    make = alert_actions.shelve(body.until, body.reason)
    return answer(await services.alerts.act(actor, alert_id, make))


@router.post("/{alert_id}/unshelve", response_model=AlertRow)
async def unshelve(actor: Who, services: Have, alert_id: AlertId, body: Unshelving) -> Response:
    """Takes an alert off the shelf before its time."""
    return answer(await services.alerts.act(actor, alert_id, alert_actions.unshelve(body.reason)))


@router.post("/{alert_id}/assign", response_model=AlertRow)
async def assign(actor: Who, services: Have, alert_id: AlertId, body: Assignment) -> Response:
    """Makes somebody responsible for an alert."""
    return answer(await services.alerts.act(actor, alert_id, alert_actions.assign(body.to)))


@router.post("/{alert_id}/notes", response_model=AlertRow, status_code=201)
async def add_note(actor: Who, services: Have, alert_id: AlertId, body: Note) -> Response:
    """Writes a note to an alert, open or cleared."""
    make = alert_actions.add_note(body.text)
    return answer(await services.alerts.act(actor, alert_id, make), 201)
