"""What the pages ask of the cloud to see to alerts, and to where they are delivered."""

from collections.abc import Sequence
from typing import Protocol

from hesper_cloud.delivery.routes import QuietHours, RoutePolicy
from hesper_cloud.delivery.targets import Email, Mqtt, Webhook
from hesper_cloud.services.alert_actions import Make as AlertAction
from hesper_cloud.services.alert_actions import acknowledge as acknowledge_action
from hesper_cloud.services.alert_actions import add_note, assign, shelve, unshelve
from hesper_cloud.services.alert_records import (
    AlertDetail,
    AlertFilter,
    AlertRates,
    Done,
    NoteRow,
    Selection,
    StepRow,
)
from hesper_cloud.services.delivery import RouteWish, TargetWish
from hesper_cloud.services.delivery_records import (
    DeliveryRow,
    NewTarget,
    RouteRow,
    TargetRow,
    Tested,
)

from hesper_ui.services.records import Actor, AlertRow, PageAsked

__all__ = [
    "AlertAction",
    "AlertDetail",
    "AlertFilter",
    "AlertRates",
    "AlertRow",
    "AlertSelections",
    "Alerts",
    "Delivery",
    "DeliveryLog",
    "DeliveryRow",
    "Done",
    "Email",
    "Mqtt",
    "NewTarget",
    "NoteRow",
    "QuietHours",
    "RoutePolicy",
    "RouteRow",
    "RouteWish",
    "Selection",
    "StepRow",
    "TargetRow",
    "TargetWish",
    "Tested",
    "Webhook",
    "acknowledge_action",
    "add_note",
    "assign",
    "shelve",
    "unshelve",
]


class Alerts(Protocol):
    """Alerts and who has seen them; the state ``open`` means all that are not cleared."""

    async def list(
        self,
        actor: Actor,
        state: str | None,
        severity: str | None,
        limit: int,
        meter: str | None = None,
        /,
    ) -> Sequence[AlertRow]: ...
    async def page(
        self, actor: Actor, wanted: AlertFilter, asked: PageAsked, /
    ) -> tuple[Sequence[AlertRow], str | None]: ...
    async def get(self, actor: Actor, alert: int, /) -> AlertDetail: ...
    async def rates(self, actor: Actor, windows: int, /) -> AlertRates: ...
    async def acknowledge(self, actor: Actor, alert: int, note: str, /) -> AlertRow: ...
    async def act(self, actor: Actor, alert: int, make: AlertAction, /) -> AlertRow: ...
    async def people(self, actor: Actor, /) -> Sequence[str]: ...


class AlertSelections(Protocol):
    """Alerts that are held for one action on all of them."""

    async def hold(self, actor: Actor, wanted: AlertFilter, /) -> Selection: ...
    async def act(self, actor: Actor, selection: str, count: int, make: AlertAction, /) -> Done: ...


class Delivery(Protocol):
    """Targets and routes, kept and tried by administrators."""

    async def put_target(
        self, actor: Actor, wish: TargetWish, target: int | None, version: int, /
    ) -> NewTarget: ...
    async def put_route(
        self, actor: Actor, wish: RouteWish, route: int | None, version: int, /
    ) -> RouteRow: ...
    async def remove_target(self, actor: Actor, target: int, /) -> None: ...
    async def remove_route(self, actor: Actor, route: int, /) -> None: ...
    async def test(self, actor: Actor, target: int, /) -> Tested: ...


class DeliveryLog(Protocol):
    """What is set up, and what was sent."""

    async def targets(self, actor: Actor, /) -> Sequence[TargetRow]: ...
    async def routes(self, actor: Actor, /) -> Sequence[RouteRow]: ...
    async def messages(
        self, actor: Actor, state: str | None, asked: PageAsked, /
    ) -> tuple[Sequence[DeliveryRow], str | None]: ...
