"""What the pages ask of the cloud where many meters are moved, or rules are set aside."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from hesper_cloud.images.changelog import LONGEST as CHANGELOG_MAX
from hesper_cloud.services.images import MANIFEST_MAX, manifest_of
from hesper_contracts.manifest import SignedManifest

from hesper_ui.services.records import (
    Actor,
    BatchOrder,
    BatchRowView,
    BatchView,
    BreakGlassRow,
    CampaignOrder,
    CampaignView,
    CommandWish,
    DayQuality,
    Decision,
    Edit,
    EditRow,
    Exclusion,
    FailedCheck,
    ImageRow,
    NewFactor,
    Page,
    Proof,
)

__all__ = [
    "CHANGELOG_MAX",
    "MANIFEST_MAX",
    "Batches",
    "Campaigns",
    "Decisions",
    "Images",
    "Validated",
    "manifest_of",
]


class Batches(Protocol):
    """One kind of command for many meters."""

    async def propose(
        self, actor: Actor, order: BatchOrder, idempotency_key: str, /
    ) -> BatchView: ...
    async def decide(
        self, actor: Actor, batch_id: str, decision: Decision, idempotency_key: str, /
    ) -> BatchView: ...
    async def list(self, actor: Actor, state: str | None, limit: int, /) -> Sequence[BatchView]: ...
    async def get(self, actor: Actor, batch_id: str, /) -> BatchView: ...
    async def rows(
        self, actor: Actor, batch_id: str, state: str | None, offset: int, limit: int, /
    ) -> Page[BatchRowView]: ...
    async def excluded(self, actor: Actor, batch_id: str, /) -> Sequence[Exclusion]: ...
    async def csv(self, actor: Actor, batch_id: str, /) -> Iterator[bytes]: ...


class Images(Protocol):
    """Firmware images that two release keys have signed."""

    async def all(self, actor: Actor, /) -> Sequence[ImageRow]: ...
    async def announce(self, actor: Actor, document: SignedManifest, /) -> ImageRow: ...
    async def fill(
        self, actor: Actor, image_hash: str, octets: AsyncIterator[bytes], /
    ) -> ImageRow: ...
    async def describe(self, actor: Actor, image_hash: str, text: bytes, /) -> ImageRow: ...


class Campaigns(Protocol):
    """An image brought by one approved batch, activated by another."""

    async def propose(self, actor: Actor, order: CampaignOrder, key: str, /) -> CampaignView: ...
    async def activate(
        self, actor: Actor, campaign: str, order: CampaignOrder, key: str, /
    ) -> BatchView: ...
    async def all(self, actor: Actor, limit: int, /) -> Sequence[CampaignView]: ...
    async def get(self, actor: Actor, campaign: str, /) -> CampaignView: ...


class Decisions(Protocol):
    """Release from quarantine, break-glass and its reviews, the policy in force."""

    async def release(self, actor: Actor, command: str, proof: Proof, /) -> str: ...
    async def break_glass(
        self, actor: Actor, wish: CommandWish, proof: Proof, idempotency_key: str, /
    ) -> str: ...
    async def broken(self, actor: Actor, /) -> Sequence[BreakGlassRow]: ...
    async def review(
        self, actor: Actor, command: str, verdict: str, reason: str, proof: Proof, /
    ) -> None: ...
    async def has_factor(self, actor: Actor, /) -> bool: ...
    def new_factor(self, actor: Actor, /) -> NewFactor: ...
    async def enrol(self, actor: Actor, factor: NewFactor, first: str, proof: Proof, /) -> None: ...
    async def policy(self, actor: Actor, /) -> dict[str, Any]: ...


class Validated(Protocol):
    """How good readings are, and what people have put in their place."""

    async def quality(
        self, actor: Actor, meter: str, first: date, last: date, /
    ) -> Sequence[DayQuality]: ...
    async def worst(self, actor: Actor, day: date, limit: int, /) -> Sequence[DayQuality]: ...
    async def failed_checks(
        self, actor: Actor, meter: str, start: datetime, end: datetime, /
    ) -> Sequence[FailedCheck]: ...
    async def edits(
        self, actor: Actor, meter: str, start: datetime, end: datetime, /
    ) -> Sequence[EditRow]: ...
    async def edit(self, actor: Actor, edit: Edit, /) -> EditRow: ...
    async def withdraw(self, actor: Actor, edit_id: int, reason: str, key: str, /) -> EditRow: ...
