"""The cloud's own records, errors and permissions, as the pages name them."""

from hesper_cloud.accounts.cookies import cookie_name, is_secure
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.authority.kinds import AT_GATEWAY, CUTTING, READING
from hesper_cloud.csv_lines import cell
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.service_levels.misses import Miss
from hesper_cloud.services.about import Fact
from hesper_cloud.services.batch_records import (
    BatchOrder,
    BatchRowView,
    BatchVerb,
    BatchView,
    Decision,
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
    CampaignOrder,
    CampaignView,
    Funnel,
    ImageRow,
)
from hesper_cloud.services.geography import Box, Branch, Cluster, Spot
from hesper_cloud.services.records import (
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
from hesper_cloud.services.service_levels import LevelDay
from hesper_cloud.services.validated import DayQuality, EditRow, FailedCheck
from hesper_cloud.settings import WebSettings
from hesper_cloud.validation.substitutes import Curve, Edit

__all__ = [
    "AT_GATEWAY",
    "CUTTING",
    "LOAD_PROFILE",
    "OPEN_COMMAND_STATES",
    "READING",
    "Actor",
    "AlertRow",
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
    "CampaignOrder",
    "CampaignView",
    "Cluster",
    "CodeNeeded",
    "CommandRow",
    "CommandWish",
    "CompletenessHour",
    "Curve",
    "DayQuality",
    "Decision",
    "Edit",
    "EditRow",
    "EventRow",
    "Fact",
    "FailedCheck",
    "FleetLoad",
    "Funnel",
    "GapRow",
    "GatewayRow",
    "ImageRow",
    "Invalid",
    "KillSwitchState",
    "LatestValue",
    "LevelDay",
    "LoginRefused",
    "MeterDetail",
    "MeterQuery",
    "MeterRow",
    "Miss",
    "NewFactor",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "Overview",
    "Page",
    "Permission",
    "Proof",
    "Refused",
    "RelayAction",
    "Role",
    "Series",
    "ServiceError",
    "Session",
    "Spot",
    "Unavailable",
    "WebSettings",
    "cell",
    "cookie_name",
    "is_secure",
]
