"""What the pages ask of the cloud to say what gateways and meters should be configured with."""

from collections.abc import Sequence
from typing import Any, Protocol

from hesper_cloud.services.plan_documents import SCHEDULE_FIELDS
from hesper_cloud.services.plan_sending import Sent
from hesper_cloud.services.plan_states import PlanKind, PlanQuery, PlanState
from hesper_cloud.services.plans import AssignmentRow, PlanRow

from hesper_ui.services.records import Actor

__all__ = [
    "SCHEDULE_FIELDS",
    "AssignmentRow",
    "PlanKind",
    "PlanQuery",
    "PlanRow",
    "PlanSending",
    "PlanState",
    "Plans",
    "Sent",
]


class Plans(Protocol):
    """Schedules and templates: their versions, whom they are for, and what is in force."""

    async def newest(self, actor: Actor, kind: PlanKind, /) -> Sequence[PlanRow]: ...
    async def versions(self, actor: Actor, kind: PlanKind, name: str, /) -> Sequence[PlanRow]: ...
    async def put(
        self,
        actor: Actor,
        plan: tuple[PlanKind, str],
        document: dict[str, Any],
        note: str,
        wanted: int | None,
        /,
    ) -> PlanRow: ...
    async def assignments(self, actor: Actor, kind: PlanKind, /) -> Sequence[AssignmentRow]: ...
    async def assign(
        self, actor: Actor, kind: PlanKind, name: str, version: int | None, query: PlanQuery, /
    ) -> AssignmentRow: ...
    async def take_back(self, actor: Actor, kind: PlanKind, assignment: int, /) -> None: ...
    async def states(self, actor: Actor, kind: PlanKind, /) -> Sequence[PlanState]: ...


class PlanSending(Protocol):
    """Schedules on their way to gateways, as commands that a second person approves."""

    async def send(self, actor: Actor, name: str, reason: str, key: str, /) -> Sent: ...
