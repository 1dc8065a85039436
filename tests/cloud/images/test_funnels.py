"""The funnel of a campaign is counted for all pages together, and anew when a batch has moved."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hesper_cloud.services import campaigns
from hesper_cloud.services.campaigns import Campaigns
from hesper_cloud.services.firmware_records import Funnel

pytestmark = pytest.mark.asyncio
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Counting(Campaigns):
    """Counts how often it counts."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, nothing)
        self.counted: list[tuple[str, ...]] = []

    def _funnel(self, campaign: str, activations: Sequence[str]) -> Funnel:
        self.counted.append((campaign, *activations))
        return Funnel(targeted=len(self.counted))

    async def look(self, *batches: Any) -> int:
        campaign, *activations = batches
        return (await self._kept(campaign, activations).get()).targeted


def batch(name: str, moved_at: datetime = NOON) -> Any:
    return SimpleNamespace(id=name, updated_at=moved_at)


async def test_pages_share_what_was_counted_until_a_batch_moves(monkeypatch):
    monkeypatch.setattr(campaigns, "_TIMES", 1_000_000)
    told = Counting()
    assert [await told.look(batch("c")), await told.look(batch("c"))] == [1, 1]
    assert await told.look(batch("c", NOON + timedelta(seconds=1))) == 2
    assert await told.look(batch("c"), batch("a")) == 3
    assert await told.look(batch("c"), batch("a", NOON + timedelta(seconds=1))) == 4
    assert told.counted == [("c",), ("c",), ("c", "a"), ("c", "a")]


async def test_it_is_not_kept_for_longer_than_counting_is_worth(monkeypatch):
    monkeypatch.setattr(campaigns, "_TIMES", 0)
    told = Counting()
    assert [await told.look(batch("c")), await told.look(batch("c"))] == [1, 2]


async def test_funnels_of_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(campaigns, "_MOST_KEPT", 3)
    told = Counting()
    for number in range(9):
        await told.look(batch(f"c{number}"))
    assert len(told._funnels) == 3
