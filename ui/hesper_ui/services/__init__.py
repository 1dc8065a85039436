"""What the console asks of the cloud; no other part of the console imports it.

The records are the cloud's own. The ports are the part of its services that the pages use, declared
here so that a double for tests and the real ones are checked against the same words. Every call
takes the `Actor` and checks the permission itself; a page only decides what to offer.
"""

from typing import TYPE_CHECKING, Protocol

from hesper_ui.services.alerting import Alerts, AlertSelections, Delivery, DeliveryLog
from hesper_ui.services.deciding import (
    CHANGELOG_MAX,
    MANIFEST_MAX,
    Batches,
    Campaigns,
    Decisions,
    Images,
    Validated,
    manifest_of,
)
from hesper_ui.services.keeping import Assets, MeterLife
from hesper_ui.services.longer import Imports, Jobs, Reports
from hesper_ui.services.looking import (
    AccessLog,
    ConversationRow,
    Conversations,
    UtteranceRow,
)
from hesper_ui.services.people import (
    ApiTokens,
    Members,
    NewPassword,
    NewToken,
    SessionRow,
    Sessions,
    TokenOrder,
    TokenRow,
    UserRow,
    granted,
)
from hesper_ui.services.planning import Plans, PlanSending
from hesper_ui.services.ports import (
    About,
    Accounts,
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
    FOR_PEOPLE,
    IMPORT_KINDS,
    LOAD_PROFILE,
    MOST_FILE_OCTETS,
    OPEN_COMMAND_STATES,
    READING,
    SOAK_S,
    WAVES,
    WHY,
    Actor,
    AlertRow,
    AreaRow,
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
    Brought,
    CampaignOrder,
    CampaignView,
    CatalogueRow,
    ChangedRow,
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
    ElementRow,
    EventFilter,
    EventRow,
    Every,
    ExchangeRow,
    ExchangeWish,
    Exclusion,
    Fact,
    FailedCheck,
    FleetLoad,
    Funnel,
    GapRow,
    GatewayCard,
    GatewayRow,
    Habits,
    ImageRow,
    ImportKind,
    ImportView,
    Invalid,
    JobRow,
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
    ModelRow,
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
    ProblemCount,
    Proof,
    Refused,
    RegisterRow,
    RegisterWish,
    RejectedRow,
    RelayAction,
    ReportKindRow,
    ReportRow,
    ReportWish,
    Role,
    RuleDefinition,
    RuleRow,
    RuleState,
    RuleVersionRow,
    ScheduledRow,
    ScheduleRow,
    ScheduleWish,
    SearchHit,
    Series,
    ServiceError,
    Session,
    SimRow,
    Spot,
    TariffRow,
    TryReport,
    Unavailable,
    WaveView,
    WebSettings,
    cell,
    cookie_name,
    is_secure,
    mark_of,
)
from hesper_ui.services.texts import Worded, title_of, titles, told_by
from hesper_ui.services.watching import Events, Outages, Rules

__all__ = [
    "AT_GATEWAY",
    "CHANGELOG_MAX",
    "CUTTING",
    "FOR_PEOPLE",
    "IMPORT_KINDS",
    "LOAD_PROFILE",
    "MANIFEST_MAX",
    "MOST_FILE_OCTETS",
    "OPEN_COMMAND_STATES",
    "READING",
    "SOAK_S",
    "WAVES",
    "WHY",
    "About",
    "AccessLog",
    "Accounts",
    "Actor",
    "AlertRow",
    "AlertSelections",
    "Alerts",
    "ApiTokens",
    "AreaRow",
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
    "Brought",
    "CampaignOrder",
    "CampaignView",
    "Campaigns",
    "CatalogueRow",
    "ChangeRow",
    "ChangedRow",
    "Cluster",
    "CodeNeeded",
    "CommandRow",
    "CommandWish",
    "Commands",
    "CompletenessHour",
    "ConversationRow",
    "Conversations",
    "Curve",
    "CustomerRow",
    "DayQuality",
    "Decision",
    "Decisions",
    "Delivery",
    "DeliveryLog",
    "Edit",
    "EditRow",
    "ElementRow",
    "EventFilter",
    "EventRow",
    "Events",
    "Every",
    "ExchangeRow",
    "ExchangeWish",
    "Exclusion",
    "Fact",
    "FailedCheck",
    "FleetLoad",
    "Funnel",
    "GapRow",
    "GatewayCard",
    "GatewayRow",
    "Gateways",
    "Geography",
    "Habits",
    "ImageRow",
    "Images",
    "ImportKind",
    "ImportView",
    "Imports",
    "Invalid",
    "JobRow",
    "Jobs",
    "KillSwitchState",
    "LatestValue",
    "LevelDay",
    "Levels",
    "Listed",
    "LoginRefused",
    "Members",
    "MeterCard",
    "MeterDetail",
    "MeterLife",
    "MeterQuery",
    "MeterRow",
    "Meters",
    "Miss",
    "ModelRow",
    "NewFactor",
    "NewPassword",
    "NewToken",
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
    "PlanSending",
    "Plans",
    "ProblemCount",
    "Proof",
    "Refused",
    "RegisterRow",
    "RegisterWish",
    "RejectedRow",
    "RelayAction",
    "ReportKindRow",
    "ReportRow",
    "ReportWish",
    "Reports",
    "Role",
    "RuleDefinition",
    "RuleRow",
    "RuleState",
    "RuleVersionRow",
    "Rules",
    "ScheduleRow",
    "ScheduleWish",
    "ScheduledRow",
    "SearchHit",
    "Series",
    "ServiceError",
    "Services",
    "Session",
    "SessionRow",
    "Sessions",
    "Settings",
    "SimRow",
    "Sources",
    "Spot",
    "TariffRow",
    "TokenOrder",
    "TokenRow",
    "TryReport",
    "Unavailable",
    "UserRow",
    "UtteranceRow",
    "Validated",
    "WaveView",
    "WebSettings",
    "Worded",
    "cell",
    "cookie_name",
    "granted",
    "is_secure",
    "manifest_of",
    "mark_of",
    "title_of",
    "titles",
    "told_by",
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
    def alert_selections(self) -> AlertSelections: ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def delivery_log(self) -> DeliveryLog: ...
    @property
    def commands(self) -> Commands: ...
    @property
    def conversations(self) -> Conversations: ...
    @property
    def overview(self) -> Overviews: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def access_log(self) -> AccessLog: ...
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
    def members(self) -> Members: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def api_tokens(self) -> ApiTokens: ...
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
    def plans(self) -> Plans: ...
    @property
    def plan_sending(self) -> PlanSending: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def imports(self) -> Imports: ...
    @property
    def reports(self) -> Reports: ...
    @property
    def sources(self) -> Sources: ...


if TYPE_CHECKING:
    from hesper_cloud.services.bundle import Services as _CloudServices

    def _fits(services: _CloudServices) -> Services:
        """The type checker proves here that the cloud's services are what the pages expect."""
        return services
