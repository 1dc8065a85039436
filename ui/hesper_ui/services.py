"""What the console asks of the cloud; no other module of the console imports it.

The records are the cloud's own. The ports below are the part of its services that the pages use,
declared here so that a double for tests and the real ones are checked against the same words.
Every call takes the `Actor` and checks the permission itself; a page only decides what to offer.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.service_levels.misses import Miss
from hesper_cloud.services.errors import (
    CodeNeeded,
    Invalid,
    LoginRefused,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    ServiceError,
    Unavailable,
)
from hesper_cloud.services.records import (
    OPEN_COMMAND_STATES,
    AlertRow,
    AttentionRow,
    AuditEntry,
    AuditVerdict,
    CommandRow,
    CompletenessHour,
    EventRow,
    FleetLoad,
    GapRow,
    GatewayRow,
    KillSwitchState,
    LatestValue,
    MeterDetail,
    MeterQuery,
    MeterRow,
    Overview,
    Page,
    RelayAction,
    Series,
    Session,
)
from hesper_cloud.services.service_levels import LevelDay
from hesper_cloud.settings import WebSettings

__all__ = [
    "OPEN_COMMAND_STATES",
    "Accounts",
    "Actor",
    "AlertRow",
    "Alerts",
    "AttentionRow",
    "Audit",
    "AuditEntry",
    "AuditVerdict",
    "CodeNeeded",
    "CommandRow",
    "Commands",
    "CompletenessHour",
    "EventRow",
    "FleetLoad",
    "GapRow",
    "GatewayRow",
    "Gateways",
    "Invalid",
    "KillSwitchState",
    "LatestValue",
    "LevelDay",
    "Levels",
    "LoginRefused",
    "MeterDetail",
    "MeterQuery",
    "MeterRow",
    "Meters",
    "Miss",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "Overview",
    "Overviews",
    "Page",
    "Permission",
    "Proof",
    "Refused",
    "RelayAction",
    "Role",
    "Series",
    "ServiceError",
    "Services",
    "Session",
    "Unavailable",
    "WebSettings",
]


class Accounts(Protocol):
    """Logins and what they stand for."""

    async def login(
        self, username: str, password: str, source: str, code: str = "", /
    ) -> Session: ...
    async def actor_of(self, token: str, /) -> Actor: ...
    async def logout(self, token: str, /) -> None: ...


class Meters(Protocol):
    """Meters, their values and what is missing of them."""

    async def page(self, actor: Actor, query: MeterQuery, /) -> Page[MeterRow]: ...
    async def get(self, actor: Actor, meter: str, /) -> MeterDetail: ...
    async def latest(self, actor: Actor, meter: str, /) -> Sequence[LatestValue]: ...
    async def series(
        self,
        actor: Actor,
        meter: str,
        logical_name: str,
        start: datetime,
        end: datetime,
        step_s: int | None,
        /,
    ) -> Series: ...
    async def gaps(
        self, actor: Actor, meter: str, start: datetime, end: datetime, /
    ) -> Sequence[GapRow]: ...
    async def open_gaps(self, actor: Actor, limit: int, /) -> Sequence[GapRow]: ...
    async def events(
        self, actor: Actor, meter: str | None, limit: int, severity: str | None = None, /
    ) -> Sequence[EventRow]: ...


class Gateways(Protocol):
    """Gateways as they last reported themselves."""

    async def list(self, actor: Actor, /) -> Sequence[GatewayRow]: ...


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
    async def acknowledge(self, actor: Actor, alert: int, note: str, /) -> AlertRow: ...


class Commands(Protocol):
    """Relay commands, their approval, and the switch that stops them all."""

    async def request_relay(
        self,
        actor: Actor,
        meter: str,
        action: RelayAction,
        reason: str,
        serial_tail: str,
        idempotency_key: str,
        /,
    ) -> CommandRow: ...
    async def approve(self, actor: Actor, command: str, password: str, /) -> CommandRow: ...
    async def reject(self, actor: Actor, command: str, reason: str, /) -> CommandRow: ...
    async def cancel(self, actor: Actor, command: str, /) -> CommandRow: ...
    async def list(
        self, actor: Actor, state: str | None, meter: str | None, limit: int, /
    ) -> Sequence[CommandRow]: ...
    async def kill_switch(self, actor: Actor, /) -> KillSwitchState: ...
    async def set_kill_switch(
        self, actor: Actor, on: bool, reason: str, password: str, /
    ) -> KillSwitchState: ...


class Audit(Protocol):
    """The log of decisions and changes, for those who may read it."""

    async def page(
        self, actor: Actor, offset: int, limit: int, subject: str, /
    ) -> Page[AuditEntry]: ...
    async def verify(self, actor: Actor, /) -> AuditVerdict: ...


class Levels(Protocol):
    """Service levels by day, and the meters that missed one."""

    async def days(
        self, actor: Actor, name: str | None, first: date | None, last: date | None, /
    ) -> Sequence[LevelDay]: ...
    async def misses(self, actor: Actor, name: str, day: date, /) -> Sequence[Miss]: ...


class Overviews(Protocol):
    """The figures and curves of the first page."""

    async def figures(self, actor: Actor, /) -> Overview: ...
    async def load_24h(self, actor: Actor, /) -> FleetLoad: ...
    async def completeness_by_hour(self, actor: Actor, /) -> Sequence[CompletenessHour]: ...
    async def needs_attention(self, actor: Actor, /) -> Sequence[AttentionRow]: ...


class Settings(Protocol):
    """The one section of the settings that concerns a console."""

    @property
    def web(self) -> WebSettings: ...


class Sources(Protocol):
    """Where the settings are found."""

    @property
    def settings(self) -> Settings: ...


class Services(Protocol):
    """All of it, as one page receives it."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def meters(self) -> Meters: ...
    @property
    def gateways(self) -> Gateways: ...
    @property
    def alerts(self) -> Alerts: ...
    @property
    def commands(self) -> Commands: ...
    @property
    def overview(self) -> Overviews: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def service_levels(self) -> Levels: ...
    @property
    def sources(self) -> Sources: ...


if TYPE_CHECKING:
    from hesper_cloud.services.bundle import Services as _CloudServices

    def _fits(services: _CloudServices) -> Services:
        """The type checker proves here that the cloud's services are what the pages expect."""
        return services
