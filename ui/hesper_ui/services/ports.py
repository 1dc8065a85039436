"""What the pages ask of the cloud to watch a fleet and to move one relay."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from hesper_ui.services.records import (
    Actor,
    AttentionRow,
    AuditEntry,
    AuditVerdict,
    Box,
    Branch,
    Cluster,
    CommandRow,
    CommandWish,
    CompletenessHour,
    EventRow,
    Fact,
    FleetLoad,
    GapRow,
    GatewayRow,
    KillSwitchState,
    LatestValue,
    LevelDay,
    MeterDetail,
    MeterQuery,
    MeterRow,
    Miss,
    OidcSettings,
    Overview,
    Page,
    RelayAction,
    Series,
    Session,
    Spot,
    WebSettings,
)


class Accounts(Protocol):
    """Logins and what they stand for."""

    async def login(
        self, username: str, password: str, source: str, code: str = "", agent: str = "", /
    ) -> Session: ...
    async def actor_of(self, token: str, /) -> Actor: ...
    async def logout(self, token: str, /) -> None: ...
    async def until_ended(self, token: str, /) -> str: ...


class Meters(Protocol):
    """Meters, their values and what is missing of them."""

    async def page(self, actor: Actor, query: MeterQuery, /) -> Page[MeterRow]: ...
    async def get(self, actor: Actor, meter: str, /) -> MeterDetail: ...
    async def row(self, actor: Actor, meter: str, /) -> MeterRow: ...
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
    async def get(self, actor: Actor, gateway: str, /) -> GatewayRow: ...
    async def configuration(self, actor: Actor, gateway: str, /) -> str | None: ...


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
    async def request(
        self, actor: Actor, wish: CommandWish, idempotency_key: str, /
    ) -> CommandRow: ...
    async def approve(self, actor: Actor, command: str, password: str, /) -> CommandRow: ...
    async def reject(self, actor: Actor, command: str, reason: str, /) -> CommandRow: ...
    async def cancel(self, actor: Actor, command: str, /) -> CommandRow: ...
    async def list(
        self,
        actor: Actor,
        state: str | None,
        meter: str | None,
        limit: int,
        gateway: str | None = None,
        /,
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

    def today(self) -> date: ...
    async def days(
        self, actor: Actor, name: str | None, first: date | None, last: date | None, /
    ) -> Sequence[LevelDay]: ...
    async def misses(self, actor: Actor, name: str, day: date, /) -> Sequence[Miss]: ...


class About(Protocol):
    """What runs here."""

    async def facts(self, actor: Actor, /) -> Sequence[Fact]: ...


class Geography(Protocol):
    """Where meters and gateways are, and the grid's feeders."""

    async def extent(self, actor: Actor, /) -> Box | None: ...
    async def clusters(
        self, actor: Actor, query: MeterQuery, cell: float, /
    ) -> Sequence[Cluster]: ...
    async def gateways(self, actor: Actor, /) -> Sequence[Spot]: ...
    async def branches(self, actor: Actor, /) -> Sequence[Branch]: ...


class Overviews(Protocol):
    """The figures and curves of the first page."""

    async def figures(self, actor: Actor, /) -> Overview: ...
    def hears_broker(self) -> bool: ...
    async def load_24h(self, actor: Actor, /) -> FleetLoad: ...
    async def completeness_by_hour(self, actor: Actor, /) -> Sequence[CompletenessHour]: ...
    async def needs_attention(self, actor: Actor, limit: int, /) -> Sequence[AttentionRow]: ...


class Settings(Protocol):
    """The one section of the settings that concerns a console."""

    @property
    def web(self) -> WebSettings: ...
    @property
    def oidc(self) -> OidcSettings | None: ...
