"""Reports of the house as a whole: service levels, commands, the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.db.authority import AuditRow, CommandRecord
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Meter, ServiceLevelDay
from hesper_cloud.reports.tables import Column, Days, Part, Period, Row, Shelves

_AT_ONCE = 2000


def _local(at: datetime | None, zone: ZoneInfo) -> str | None:
    return None if at is None else at.astimezone(zone).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class ServiceLevelReport:
    """What each service level reached on each day."""

    name: str = "service-levels"
    title: str = "Service levels"
    permission: Permission = Permission.READ
    divisible: bool = False
    days: Days = "levels"
    columns: tuple[Column, ...] = (
        Column("Day"),
        Column("Level"),
        Column("Target percent", number=True),
        Column("Due", number=True),
        Column("In time", number=True),
        Column("Percent", number=True),
        Column("Reached"),
    )

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns all days; there are few levels."""
        del after
        settings = shelves.settings.service_levels
        targets = {level.name: level.target_percent for level in settings.levels}
        query = (
            select(ServiceLevelDay)
            .where(ServiceLevelDay.day >= period.start_at, ServiceLevelDay.day < period.end_at)
            .order_by(ServiceLevelDay.day, ServiceLevelDay.level)
        )
        with reading(shelves.registry) as session:
            found = [row for row in session.scalars(query) if row.level in targets]
        return Part([self._row(row, targets[row.level], period.zone) for row in found])

    @staticmethod
    def _row(row: ServiceLevelDay, target: float, zone: ZoneInfo) -> Row:
        percent = 100 * row.met_count / row.due_count if row.due_count else None
        reached = None if percent is None else "yes" if percent >= target else "no"
        shown = None if percent is None else f"{percent:.2f}"
        day = row.day.astimezone(zone).date().isoformat()
        return [day, row.level, f"{target:g}", row.due_count, row.met_count, shown, reached]


@dataclass(frozen=True, slots=True)
class Commands:
    """Every command that was asked for in a period, and how it ended."""

    name: str = "commands"
    title: str = "Commands"
    permission: Permission = Permission.READ
    divisible: bool = True
    days: Days = "asked"
    columns: tuple[Column, ...] = tuple(
        Column(title)
        for title in (
            *("Asked at", "Kind", "Meter", "Gateway", "Area", "State", "Asked by", "Approved by"),
            *("Reason", "Sent at", "Last change"),
        )
    )

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns the next commands in the order in which they were asked for."""
        query = select(CommandRecord).where(
            CommandRecord.created_at >= period.start_at, CommandRecord.created_at < period.end_at
        )
        if after is not None:
            at, command = datetime.fromisoformat(after[0]), after[1]
            later = CommandRecord.created_at > at
            same = (CommandRecord.created_at == at) & (CommandRecord.id > command)
            query = query.where(later | same)
        query = query.order_by(CommandRecord.created_at, CommandRecord.id).limit(_AT_ONCE)
        with reading(shelves.authority) as session:
            found = session.scalars(query).all()
        areas = _areas(shelves, {each.meter for each in found})
        rows = [
            self._row(each, areas.get(each.meter), period.zone)
            for each in found
            if period.areas is None or areas.get(each.meter) in period.areas
        ]
        if len(found) < _AT_ONCE:
            return Part(rows)
        return Part(rows, [found[-1].created_at.isoformat(), found[-1].id])

    @staticmethod
    def _row(each: CommandRecord, area: str | None, zone: ZoneInfo) -> Row:
        return [
            _local(each.created_at, zone),
            each.kind,
            each.meter,
            each.gateway,
            area,
            each.state,
            each.requester,
            each.approver,
            each.reason,
            _local(each.sent_at, zone),
            _local(each.updated_at, zone),
        ]


def _areas(shelves: Shelves, meters: set[str]) -> dict[str, str | None]:
    with reading(shelves.registry) as session:
        return {
            meter: area
            for some in batched(sorted(meters))
            for meter, area in session.execute(
                select(Meter.id, Meter.area).where(Meter.id.in_(some))
            )
        }


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """Who did what how often, by the audit log."""

    name: str = "audit"
    title: str = "Audit summary"
    permission: Permission = Permission.READ_AUDIT
    divisible: bool = False
    days: Days = "asked"
    columns: tuple[Column, ...] = (
        Column("Who"),
        Column("Action"),
        Column("Times", number=True),
        Column("First"),
        Column("Last"),
        Column("Entries from", number=True),
        Column("To", number=True),
    )

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns all of it; people and actions are few."""
        del after
        number, at = AuditRow.sequence, AuditRow.at
        query: Select[*tuple[Any, ...]] = (
            select(
                *(AuditRow.actor, AuditRow.action, func.count()),
                *(func.min(at), func.max(at), func.min(number), func.max(number)),
            )
            .where(at >= period.start_at, at < period.end_at)
            .group_by(AuditRow.actor, AuditRow.action)
            .order_by(AuditRow.actor, AuditRow.action)
        )
        with reading(shelves.authority) as session:
            found = session.execute(query).all()
        return Part(
            [
                [*told, _local(first, period.zone), _local(last, period.zone), low, high]
                for *told, first, last, low, high in found
            ]
        )
