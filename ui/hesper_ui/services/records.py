"""The cloud's own records, errors and permissions, as the pages name them."""

from hesper_cloud.accounts.cookies import WHY, cookie_name, is_secure
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.authority.kinds import AT_GATEWAY, CUTTING, READING
from hesper_cloud.csv_lines import cell
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.columns import KINDS as IMPORT_KINDS
from hesper_cloud.imports.columns import ImportKind
from hesper_cloud.imports.sheets import MOST_OCTETS as MOST_FILE_OCTETS
from hesper_cloud.imports.trying import Brought
from hesper_cloud.paging import Asked as PageAsked
from hesper_cloud.paging import mark as mark_of
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.reports.schedules import Every
from hesper_cloud.rules.definition import Definition as RuleDefinition
from hesper_cloud.rules.definition import State as RuleState
from hesper_cloud.service_levels.misses import Miss
from hesper_cloud.services.about import Fact
from hesper_cloud.services.asset_records import (
    AreaRow,
    AssetKind,
    AssetQuery,
    AssetRow,
    ChangeRow,
    CustomerRow,
    ElementRow,
    ExchangeRow,
    ExchangeWish,
    GatewayCard,
    MeterCard,
    ModelRow,
    RegisterRow,
    RegisterWish,
    SearchHit,
    SimRow,
    TariffRow,
)
from hesper_cloud.services.assets import Listed
from hesper_cloud.services.batch_records import (
    BatchOrder,
    BatchRowView,
    BatchVerb,
    BatchView,
    Decision,
    WaveView,
)
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
from hesper_cloud.services.firmware_records import (
    SOAK_S,
    WAVES,
    CampaignOrder,
    CampaignView,
    Funnel,
    ImageRow,
)
from hesper_cloud.services.geography import Box, Branch, Cluster, Spot
from hesper_cloud.services.import_records import ChangedRow, ImportView, ProblemCount, RejectedRow
from hesper_cloud.services.jobs import JobRow, ScheduledRow
from hesper_cloud.services.records import (
    FOR_PEOPLE,
    OPEN_COMMAND_STATES,
    AlertRow,
    AttentionRow,
    AuditEntry,
    AuditVerdict,
    BreakGlassRow,
    CommandRow,
    CommandWish,
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
    NewFactor,
    Overview,
    Page,
    RelayAction,
    Series,
    Session,
)
from hesper_cloud.services.report_records import KindRow as ReportKindRow
from hesper_cloud.services.report_records import ReportRow, ReportWish, ScheduleRow, ScheduleWish
from hesper_cloud.services.rule_records import (
    CatalogueRow,
    EventFilter,
    OutageDetail,
    OutageRow,
    RuleRow,
    RuleVersionRow,
    TryReport,
)
from hesper_cloud.services.service_levels import LevelDay
from hesper_cloud.services.validated import DayQuality, EditRow, FailedCheck
from hesper_cloud.settings import WebSettings
from hesper_cloud.validation.substitutes import Curve, Edit
from hesper_cloud.web_settings import OidcSettings

__all__ = [
    "AT_GATEWAY",
    "CUTTING",
    "FOR_PEOPLE",
    "IMPORT_KINDS",
    "LOAD_PROFILE",
    "MOST_FILE_OCTETS",
    "OPEN_COMMAND_STATES",
    "READING",
    "SOAK_S",
    "WAVES",
    "WHY",
    "Actor",
    "AlertRow",
    "AreaRow",
    "AssetKind",
    "AssetQuery",
    "AssetRow",
    "AttentionRow",
    "AuditEntry",
    "AuditVerdict",
    "BatchOrder",
    "BatchRowView",
    "BatchVerb",
    "BatchView",
    "Box",
    "Branch",
    "BreakGlassRow",
    "Brought",
    "CampaignOrder",
    "CampaignView",
    "CatalogueRow",
    "ChangeRow",
    "ChangedRow",
    "Cluster",
    "CodeNeeded",
    "CommandRow",
    "CommandWish",
    "CompletenessHour",
    "Curve",
    "CustomerRow",
    "DayQuality",
    "Decision",
    "Edit",
    "EditRow",
    "ElementRow",
    "EventFilter",
    "EventRow",
    "Every",
    "ExchangeRow",
    "ExchangeWish",
    "Fact",
    "FailedCheck",
    "FleetLoad",
    "Funnel",
    "GapRow",
    "GatewayCard",
    "GatewayRow",
    "Habits",
    "ImageRow",
    "ImportKind",
    "ImportView",
    "Invalid",
    "JobRow",
    "KillSwitchState",
    "LatestValue",
    "LevelDay",
    "Listed",
    "LoginRefused",
    "MeterCard",
    "MeterDetail",
    "MeterQuery",
    "MeterRow",
    "Miss",
    "ModelRow",
    "NewFactor",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "OidcSettings",
    "OutageDetail",
    "OutageRow",
    "Overview",
    "Page",
    "PageAsked",
    "Permission",
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
    "Role",
    "RuleDefinition",
    "RuleRow",
    "RuleState",
    "RuleVersionRow",
    "ScheduleRow",
    "ScheduleWish",
    "ScheduledRow",
    "SearchHit",
    "Series",
    "ServiceError",
    "Session",
    "SimRow",
    "Spot",
    "TariffRow",
    "TryReport",
    "Unavailable",
    "WaveView",
    "WebSettings",
    "cell",
    "cookie_name",
    "is_secure",
    "mark_of",
]
