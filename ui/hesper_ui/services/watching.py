"""What the pages ask of the cloud to follow events, to keep rules and to see outages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from hesper_ui.services.records import (
    Actor,
    CatalogueRow,
    EventFilter,
    EventRow,
    OutageDetail,
    OutageRow,
    PageAsked,
    RuleDefinition,
    RuleRow,
    RuleState,
    RuleVersionRow,
    TryReport,
)


class Events(Protocol):
    """Events by group, code, place and time."""

    async def page(
        self, actor: Actor, wanted: EventFilter, asked: PageAsked, /
    ) -> tuple[Sequence[EventRow], str | None]: ...
    async def catalogue(self, actor: Actor, /) -> Sequence[CatalogueRow]: ...


class Rules(Protocol):
    """Rules, their versions, and what they would have told."""

    async def list(self, actor: Actor, /) -> Sequence[RuleRow]: ...
    async def get(self, actor: Actor, rule: str, /) -> RuleRow: ...
    async def versions(self, actor: Actor, rule: str, /) -> Sequence[RuleVersionRow]: ...
    def understood(self, said: Mapping[str, Any], /) -> RuleDefinition: ...
    async def save(
        self,
        actor: Actor,
        rule: str,
        said: RuleDefinition,
        note: str,
        version: int | None,
        /,
    ) -> RuleRow: ...
    async def set_state(
        self, actor: Actor, rule: str, state: RuleState, note: str, version: int | None, /
    ) -> RuleRow: ...
    async def delete(self, actor: Actor, rule: str, note: str, version: int | None, /) -> None: ...
    async def try_(
        self, actor: Actor, said: RuleDefinition, start: datetime, end: datetime, /
    ) -> TryReport: ...
    async def tried(self, actor: Actor, job: int, /) -> TryReport: ...


class Outages(Protocol):
    """Who lost power together."""

    async def page(
        self, actor: Actor, state: str | None, area: str | None, asked: PageAsked, /
    ) -> tuple[Sequence[OutageRow], str | None]: ...
    async def get(self, actor: Actor, outage: int, most: int, /) -> OutageDetail: ...
