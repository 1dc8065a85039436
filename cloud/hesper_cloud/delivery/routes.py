"""Routes: which changes of alerts a target is told, and which of them may wait. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hesper_cloud.alerting.changes import Step
from hesper_cloud.db.alerting import Alert
from hesper_cloud.zones import existing_zone

_RANK = {"info": 0, "warning": 1, "critical": 2}
Severity = Literal["info", "warning", "critical"]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QuietHours(_Part):
    """When only what is worse than the rest gets through; the rest comes together at the end."""

    begin: time
    end: time
    zone: str = "UTC"
    lets_through: Severity = "critical"

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        return existing_zone(name)

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.begin == self.end or self.begin.tzinfo or self.end.tzinfo:
            raise ValueError("quiet hours begin and end at two times of the day, without zone")
        return self

    def until(self, now: datetime) -> datetime | None:
        """Returns when the quiet ends that is now; None when it is not quiet."""
        local = now.astimezone(ZoneInfo(self.zone))
        at = local.time().replace(tzinfo=None)
        over_midnight = self.begin > self.end
        inside = self.begin <= at or at < self.end if over_midnight else self.begin <= at < self.end
        if not inside:
            return None
        day = local.date() + timedelta(days=1 if over_midnight and at >= self.begin else 0)
        return datetime.combine(day, self.end, ZoneInfo(self.zone)).astimezone(now.tzinfo)


class RoutePolicy(_Part):
    """What a route is about; empty lists mean everything."""

    min_severity: Severity = "warning"
    rules: tuple[Pattern, ...] = Field(default=(), max_length=100)  # tamper.*, storm/*
    areas: tuple[Pattern, ...] = Field(default=(), max_length=1000)
    gateways: tuple[Pattern, ...] = Field(default=(), max_length=1000)
    tells: tuple[Literal["raised", "cleared", "surfaced", "grew"], ...] = Field(
        default=("raised", "surfaced", "cleared"), min_length=1
    )
    quiet: QuietHours | None = None
    digest_above: int = Field(default=5, ge=0, le=1000)  # messages within the window
    digest_window_s: int = Field(default=600, ge=10, le=86_400)
    digest_every_s: int = Field(default=120, ge=10, le=86_400)  # what is beyond comes together

    @property
    def hears_beginnings(self) -> bool:
        """Whether it tells that alerts begin; one that does not tells of all how they go on."""
        return "raised" in self.tells or "surfaced" in self.tells

    def wants(self, what: str, alert: Alert, was_told: bool) -> bool:
        """Says whether a change of an alert is to be told at all.

        What becomes of an alert that was told is wanted whatever its severity is by then.
        """
        return (
            told_as(what) in self.tells
            and (was_told or _RANK.get(alert.severity, 0) >= _RANK[self.min_severity])
            and (not self.rules or any(fnmatchcase(alert.rule, each) for each in self.rules))
            and (not self.areas or alert.area in self.areas)
            and (not self.gateways or alert.gateway in self.gateways)
        )

    def breaks_quiet(self, alert: Alert, now: datetime) -> bool:
        """Says whether it is told in quiet hours in which less severe ones wait."""
        waits = None if self.quiet is None else self.quiet.until(now)
        return waits is not None and self.quiet_until(alert, now) is None

    def quiet_until(self, alert: Alert, now: datetime) -> datetime | None:
        """Returns until when this alert may wait because of the hour."""
        if self.quiet is None or _RANK.get(alert.severity, 0) >= _RANK[self.quiet.lets_through]:
            return None
        return self.quiet.until(now)


def told_as(what: str) -> str:
    """Returns as what a change is told: one that makes an alert worse is told as its beginning."""
    return Step.RAISED.value if what == Step.WORSENED else what


@dataclass(frozen=True, slots=True)
class Plan:
    """One message to be: of which changes, as what, from when on."""

    kind: Literal["alert", "digest"]
    changes: tuple[int, ...]
    due_at: datetime
    reason: str = ""


def plans(
    policy: RoutePolicy,
    wanted: Sequence[tuple[int, Alert]],
    recent: Sequence[datetime],
    now: datetime,
) -> list[Plan]:
    """Returns which messages a route makes of changes.

    Args:
        policy: The route's.
        wanted: Changes that it wants, by id, with their alerts.
        recent: When its messages of the last window were made.
        now: The moment.
    """
    late: dict[datetime, list[int]] = {}
    at_once = []
    for change, alert in wanted:
        until = policy.quiet_until(alert, now)
        if until is None:
            at_once.append(change)
        else:
            late.setdefault(until, []).append(change)
    made = [Plan("digest", tuple(changes), until, "quiet hours") for until, changes in late.items()]
    if not at_once:
        return made
    if len(at_once) + len(recent) <= policy.digest_above:
        return made + [Plan("alert", (each,), now) for each in at_once]
    pause = timedelta(seconds=policy.digest_every_s)
    due = max(now, max(recent) + pause) if recent else now
    return [*made, Plan("digest", tuple(at_once), due, "many at once")]
