"""What the services of rules, events and outages return."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """One number of a built-in rule."""

    name: str
    unit: str
    value: int
    usual: int


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule: data that people edit, or code with its thresholds."""

    id: str
    title: str
    kind: str  # threshold | rate | absence | event | sequence | aggregate | built-in
    state: str  # off | trial | on
    version: int  # 0: a built-in rule that nobody changed
    severity: str
    text: str
    built_in: bool
    editable: bool
    can_be_off: bool
    set_in: str  # where thresholds are set that are only shown here
    thresholds: list[ThresholdRow]
    definition: dict[str, Any] | None
    updated_at: datetime | None
    updated_by: str | None
    open_alerts: int
    trial_alerts: int  # that its version on trial would have raised


@dataclass(frozen=True, slots=True)
class RuleVersionRow:
    """One version of a rule."""

    rule: str
    version: int
    definition: dict[str, Any]
    made_at: datetime
    made_by: str
    note: str


@dataclass(frozen=True, slots=True)
class FiringRow:
    """One alert that a rule would have raised, in a trial or on history."""

    subject: str
    raised_at: datetime
    cleared_at: datetime | None  # None: it would be open
    text: str


@dataclass(frozen=True, slots=True)
class TryReport:
    """What a rule would have told in a range; or the number of the job that finds it out."""

    start: datetime
    end: datetime
    subjects: int  # meters or places that it was tried on
    looked_at: int  # readings, captures, events or steps
    alerts: int
    alerting: int  # subjects with at least one
    still_open: int
    per_bucket: list[int]
    firings: list[FiringRow]  # the newest of them
    job: int | None = None


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One event code: of the catalogue, or one that it does not know but that was stored."""

    code: str
    group: str  # power | tamper | relay | clock | firmware | communication | quality | unknown
    severity: str
    title: str
    ended_by: list[str]
    stored: int  # how many are stored


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events."""

    group: str | None = None
    code: str | None = None
    severity: str | None = None
    meter: str | None = None
    gateway: str | None = None
    area: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class OutageRow:
    """One outage with its extent."""

    id: int
    kind: str  # area | feeder | transformer | gateway | meter
    place: str
    name: str
    area: str | None
    state: str  # open | restored | merged
    began_at: datetime
    noticed_at: datetime
    restored_at: datetime | None
    merged_into: int | None
    lost_count: int
    back_count: int
    customer_count: int


@dataclass(frozen=True, slots=True)
class OutageMeter:
    """One meter of an outage, from its last words to the proof of power."""

    meter: str
    lost_at: datetime
    back_at: datetime | None
    proof: str | None  # event | reading | given up


@dataclass(frozen=True, slots=True)
class OutageDetail:
    """One outage with its meters: the first of them, and how many there are."""

    row: OutageRow
    meters: list[OutageMeter]
    total: int
