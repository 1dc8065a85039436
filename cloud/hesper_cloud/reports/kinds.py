"""The kinds of report by name."""

from hesper_cloud.reports.by_meter import Completeness, Consumption, SilentMeters
from hesper_cloud.reports.of_the_house import AuditSummary, Commands, ServiceLevelReport
from hesper_cloud.reports.tables import ReportKind

_ALL: tuple[ReportKind, ...] = (
    Consumption(),
    ServiceLevelReport(),
    Completeness(),
    SilentMeters(),
    Commands(),
    AuditSummary(),
)
KINDS: dict[str, ReportKind] = {kind.name: kind for kind in _ALL}
