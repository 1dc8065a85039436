"""The double's firmware: images with what is new in them, and campaigns over its batches."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.images import changelog
from hesper_cloud.services.batch_records import BatchOrder, BatchView
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.firmware_records import CampaignOrder, CampaignView, Funnel, ImageRow
from hesper_cloud.services.records import MeterQuery
from hesper_contracts import manifest
from hesper_contracts.manifest import SignedManifest

if TYPE_CHECKING:
    from console_double.services import DoubleServices

IMAGE = "3f" * 32
PROGRAM = "7b" * 32
NEWS = "- The clock is right again after a power cut\n- Registers of tariff 2 no longer stand still"


class Campaigns:
    """A campaign is a batch of transfers; its activation is another."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_

    async def propose(self, actor: Actor, order: CampaignOrder, key: str) -> CampaignView:
        batch = await self._all.batches.propose(
            actor, self._order("firmware.transfer", order, order.names, order.query), key
        )
        self._in_waves(batch.id, order)
        return await self.get(actor, batch.id)

    async def activate(
        self, actor: Actor, campaign: str, order: CampaignOrder, key: str
    ) -> BatchView:
        rows = self._all.batches.lines[campaign]
        names = tuple(row.meter for row in rows if row.state == "confirmed")
        wanted = self._order("firmware.activate", order, names, None)
        batch = await self._all.batches.propose(actor, wanted, key)
        self._in_waves(batch.id, order)
        return await self._all.batches.get(actor, batch.id)

    def _in_waves(self, batch: str, order: CampaignOrder) -> None:
        shares, soak_s = order.terms["waves"], order.terms["soak_s"]
        self._all.batches.wave_by_wave(batch, shares, soak_s)

    def _order(
        self, kind: str, order: CampaignOrder, names: tuple[str, ...], query: MeterQuery | None
    ) -> BatchOrder:
        return BatchOrder(
            kind=kind,
            reason=order.reason,
            meters=names,
            query=query,
            parameters=order.parameters,
            wave_size=order.terms["wave_size"],
            stop_percent=order.terms["stop_percent"],
        )

    async def all(self, actor: Actor, limit: int) -> list[CampaignView]:
        batches = await self._all.batches.list(actor, None, 1000)
        found = [batch for batch in batches if batch.kind == "firmware.transfer"]
        return [await self.get(actor, batch.id) for batch in found[:limit]]

    async def get(self, actor: Actor, campaign: str) -> CampaignView:
        batch = await self._all.batches.get(actor, campaign)
        others = await self._all.batches.list(actor, None, 1000)
        activations = [each for each in others if each.kind == "firmware.activate"]
        over = sum(each.counts.get("confirmed", 0) for each in activations)
        counts = batch.counts
        return CampaignView(
            batch,
            tuple(activations),
            Funnel(
                targeted=sum(count for of, count in counts.items() if of != "excluded"),
                excluded=counts.get("excluded", 0),
                downloaded=counts.get("confirmed", 0) + counts.get("failed", 0),
                verified=counts.get("confirmed", 0),
                activated=over,
                confirmed=over,
                failed=counts.get("failed", 0),
            ),
            self._all.batches.waves(batch.id),
        )


class Images:
    """Images that can be brought, one that is out of date, and those whose octets come."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.announced: dict[str, ImageRow] = {}

    async def all(self, actor: Actor) -> list[ImageRow]:
        now = self._all.check(actor, Permission.READ).now
        good, over = now + timedelta(days=200), now - timedelta(days=3)
        return [
            ImageRow(
                IMAGE,
                "meter",
                "SIM-3P",
                "2.5.0",
                "2.3.9",
                412_672,
                good,
                True,
                False,
                NEWS,
                ("release-ann", "release-ben"),
            ),
            ImageRow("a0" * 32, "meter", "SIM-3P", "2.4.1", None, 401_120, over, True, True),
            ImageRow(PROGRAM, "gateway", "*", "0.2.0", None, 2_412_672, good, True, False),
            *self.announced.values(),
        ]

    async def announce(self, actor: Actor, document: SignedManifest) -> ImageRow:
        self._all.check(actor, Permission.REQUEST_COMMAND)
        said = manifest.contents(document)
        if len(document.seals) < manifest.SEALS_NEEDED:
            raise Invalid("two release keys must have signed it")
        row = ImageRow(
            said.image_hash, said.type, said.hardware, said.version, said.minimum_version,
            said.size, said.not_after, False, False,
        )  # fmt: skip
        self.announced[said.image_hash] = row
        return row

    async def fill(self, actor: Actor, image_hash: str, octets: AsyncIterator[bytes]) -> ImageRow:
        self._all.check(actor, Permission.REQUEST_COMMAND)
        if image_hash not in self.announced:
            raise Invalid(f"there is no image {image_hash}")
        digest = hashlib.sha256()
        async for some in octets:
            digest.update(some)
        if digest.hexdigest() != image_hash:
            raise Invalid("these are not the octets of the manifest")
        self.announced[image_hash] = replace(self.announced[image_hash], is_whole=True)
        return self.announced[image_hash]

    async def describe(self, actor: Actor, image_hash: str, text: bytes) -> ImageRow:
        self._all.check(actor, Permission.REQUEST_COMMAND)
        told = changelog.read(text)
        self.announced[image_hash] = replace(self.announced[image_hash], changelog=told)
        return self.announced[image_hash]
