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
    Cluster,
    CodeNeeded,
    CommandRow,
    CommandWish,
    CompletenessHour,
    Curve,
    DayQuality,
    Decision,
    Edit,
    EditRow,
    EventRow,
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
    LoginRefused,
    MeterDetail,
    MeterQuery,
    MeterRow,
    Miss,
    NewFactor,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Overview,
    Page,
    Permission,
    Proof,
    Refused,
    RelayAction,
    Role,
    Series,
    ServiceError,
    Session,
    Spot,
    Unavailable,
    WebSettings,
    cell,
    cookie_name,
    is_secure,
)

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
    "Cluster",
    "CodeNeeded",
    "CommandRow",
    "CommandWish",
    "Commands",
    "CompletenessHour",
    "Curve",
    "DayQuality",
    "Decision",
    "Decisions",
    "Edit",
    "EditRow",
    "EventRow",
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
    "LoginRefused",
    "MeterDetail",
    "MeterQuery",
    "MeterRow",
    "Meters",
    "Miss",
    "NewFactor",
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
    "Settings",
    "Sources",
    "Spot",
    "Unavailable",
    "Validated",
    "WebSettings",
    "cell",
    "cookie_name",
    "is_secure",
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
    def sources(self) -> Sources: ...


if TYPE_CHECKING:
    from hesper_cloud.services.bundle import Services as _CloudServices

    def _fits(services: _CloudServices) -> Services:
        """The type checker proves here that the cloud's services are what the pages expect."""
        return services
