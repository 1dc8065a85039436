"""What the service of batches takes and gives out: frozen records, times aware UTC."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hesper_cloud.services.records import MeterQuery

BatchVerb = Literal["approve", "reject", "pause", "resume", "abort", "retry", "release"]


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """One kind of command for many meters: a list, or all that a query finds, in order of id.

    The terms are those of `hesper_cloud.authority.batches.wish.Terms`, checked by the authority.
    """

    kind: str
    reason: str
    meters: tuple[str, ...] = ()
    query: MeterQuery | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    canary: int = 5
    wave_size: int = 100
    per_hour: int = 3_600
    stop_percent: int = 10


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decides about a batch.

    ``digest`` is the hash that they were shown; with ``password``, their `Proof` as text, it is
    asked of all that lets a batch go on. ``stood_at`` is when the batch that they were shown had
    last moved: one that was let go on since is not by this decision; None says nothing of it.
    """

    verb: BatchVerb
    reason: str = ""
    digest: str = ""
    password: str = field(default="", repr=False)
    stood_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchView:
    """One batch as it stands; ``counts`` are its rows by state, of the newest look."""

    id: str
    kind: str
    parameters: dict[str, Any]
    reason: str
    requester: str
    approver: str | None
    state: str
    detail: str | None
    digest: str
    canary: int
    wave_size: int
    per_hour: int
    stop_percent: int
    allowance: int
    proposed_at: datetime
    approve_until: datetime
    approved_at: datetime | None
    updated_at: datetime
    counts: dict[str, int]
    waves: list[int] | None = None  # rows up to the end of each; None: a canary and the rest
    wave: int = 0  # the open one, counted from 0
    soak_s: int | None = None  # None: a person lets the next wave begin
    soaks_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class WaveView:
    """One wave of a batch; ``finished`` rows have ended well (``confirmed``) or not."""

    rows: int
    finished: int
    confirmed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why some rows of a batch take no part, and how many."""

    cause: str
    count: int


@dataclass(frozen=True, slots=True)
class BatchRowView:
    """One row of a batch; ``position`` counts from 0."""

    position: int
    meter: str
    gateway: str | None
    area: str | None
    state: str
    excluded: str | None
    detail: str | None
    command: str | None
    tries: int
    released_at: datetime | None
    updated_at: datetime
