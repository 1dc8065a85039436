"""What the console asks of the cloud; no other part of the console imports it.

The records are the cloud's own. The ports are the part of its services that the pages use, declared
here so that a double for tests and the real ones are checked against the same words. Every call
takes the `Actor` and checks the permission itself; a page only decides what to offer.
"""

from typing import TYPE_CHECKING, Protocol

from hesper_ui.services.deciding import (
    Batches,
    Campaigns,
    Decisions,
    Images,
    Validated,
)
from hesper_ui.services.keeping import Assets, MeterLife
from hesper_ui.services.ports import (
    About,
    Accounts,
    Alerts,
    Audit,
    Commands,
    Gateways,
    Geography,
    Levels,
    Meters,
    Overviews,
    Settings,
)
from hesper_ui.services.records import (
    AT_GATEWAY,
    CUTTING,
    LOAD_PROFILE,
    OPEN_COMMAND_STATES,
    READING,
    Actor,
    AlertRow,
    AssetKind,
    AssetQuery,
    AssetRow,
    AttentionRow,
    AuditEntry,
    AuditVerdict,
    BatchOrder,
    BatchRowView,
    BatchVerb,
    BatchView,
    Box,
    Branch,
    BreakGlassRow,
    CampaignOrder,
    CampaignView,
    CatalogueRow,
    ChangeRow,
    Cluster,
    CodeNeeded,
    CommandRow,
    CommandWish,
    CompletenessHour,
    Curve,
    CustomerRow,
    DayQuality,
    Decision,
    Edit,
    EditRow,
    EventFilter,
    EventRow,
    ExchangeRow,
    ExchangeWish,
    Fact,
    FailedCheck,
    FleetLoad,
    Funnel,
    GapRow,
    GatewayRow,
    ImageRow,
    Invalid,
    KillSwitchState,
    LatestValue,
    LevelDay,
    Listed,
    LoginRefused,
    MeterCard,
    MeterDetail,
    MeterQuery,
    MeterRow,
    Miss,
    NewFactor,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    OutageDetail,
    OutageRow,
    Overview,
    Page,
    PageAsked,
    Permission,
    Proof,
    Refused,
    RegisterRow,
    RegisterWish,
    RelayAction,
    Role,
    RuleDefinition,
    RuleRow,
    RuleState,
    RuleVersionRow,
    SearchHit,
    Series,
    ServiceError,
    Session,
    SimRow,
    Spot,
    TryReport,
    Unavailable,
    WebSettings,
    cell,
    cookie_name,
    is_secure,
    mark_of,
)
from hesper_ui.services.watching import Events, Outages, Rules

__all__ = [
    "AT_GATEWAY",
    "CUTTING",
    "LOAD_PROFILE",
    "OPEN_COMMAND_STATES",
    "READING",
    "About",
    "Accounts",
    "Actor",
    "AlertRow",
    "Alerts",
    "AssetKind",
    "AssetQuery",
    "AssetRow",
    "Assets",
    "AttentionRow",
    "Audit",
    "AuditEntry",
    "AuditVerdict",
    "BatchOrder",
    "BatchRowView",
    "BatchVerb",
    "BatchView",
    "Batches",
    "Box",
    "Branch",
    "BreakGlassRow",
    "CampaignOrder",
    "CampaignView",
    "Campaigns",
    "CatalogueRow",
    "ChangeRow",
    "Cluster",
    "CodeNeeded",
    "CommandRow",
    "CommandWish",
    "Commands",
    "CompletenessHour",
    "Curve",
    "CustomerRow",
    "DayQuality",
    "Decision",
    "Decisions",
    "Edit",
    "EditRow",
    "EventFilter",
    "EventRow",
    "Events",
    "ExchangeRow",
    "ExchangeWish",
    "Fact",
    "FailedCheck",
    "FleetLoad",
    "Funnel",
    "GapRow",
    "GatewayRow",
    "Gateways",
    "Geography",
    "ImageRow",
    "Images",
    "Invalid",
    "KillSwitchState",
    "LatestValue",
    "LevelDay",
    "Levels",
    "Listed",
    "LoginRefused",
    "MeterCard",
    "MeterDetail",
    "MeterLife",
    "MeterQuery",
    "MeterRow",
    "Meters",
    "Miss",
    "NewFactor",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "OutageDetail",
    "OutageRow",
    "Outages",
    "Overview",
    "Overviews",
    "Page",
    "PageAsked",
    "Permission",
    "Proof",
    "Refused",
    "RegisterRow",
    "RegisterWish",
    "RelayAction",
    "Role",
    "RuleDefinition",
    "RuleRow",
    "RuleState",
    "RuleVersionRow",
    "Rules",
    "SearchHit",
    "Series",
    "ServiceError",
    "Services",
    "Session",
    "Settings",
    "SimRow",
    "Sources",
    "Spot",
    "TryReport",
    "Unavailable",
    "Validated",
    "WebSettings",
    "cell",
    "cookie_name",
    "is_secure",
    "mark_of",
]


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
    def meter_life(self) -> MeterLife: ...
    @property
    def assets(self) -> Assets: ...
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
    def batches(self) -> Batches: ...
    @property
    def images(self) -> Images: ...
    @property
    def campaigns(self) -> Campaigns: ...
    @property
    def about(self) -> About: ...
    @property
    def geography(self) -> Geography: ...
    @property
    def decisions(self) -> Decisions: ...
    @property
    def validated(self) -> Validated: ...
    @property
    def events(self) -> Events: ...
    @property
    def rules(self) -> Rules: ...
    @property
    def outages(self) -> Outages: ...
    @property
    def sources(self) -> Sources: ...


if TYPE_CHECKING:
    from hesper_cloud.services.bundle import Services as _CloudServices

    def _fits(services: _CloudServices) -> Services:
        """The type checker proves here that the cloud's services are what the pages expect."""
        return services
