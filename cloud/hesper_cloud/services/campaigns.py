"""Firmware campaigns: an image brought by one approved batch, activated by another."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority.batches.states import FAILED
from hesper_cloud.authority.kinds import ACTIVATE, TRANSFER, UPDATE
from hesper_cloud.db.authority import Batch, BatchRow, CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.services import wishes
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.batch_records import BatchView, Decision
from hesper_cloud.services.batches import Batches
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.firmware_records import CampaignOrder, CampaignView, Funnel
from hesper_cloud.services.kept import Kept
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

_BRINGING = (TRANSFER, UPDATE)
_ACTIVATED = 6
"""image_transfer_status, class 18: activation successful."""
_TIMES = 10
"""A funnel is kept so many times as long as it took to count: every row is looked at for it."""
_MOST_KEPT = 200


class Campaigns:
    """Every call checks the role first; the authority checks all of it again."""

    def __init__(self, sources: Sources, link: AuthorityLink, batches: Batches) -> None:
        self._sources = sources
        self._link = link
        self._batches = batches
        self._funnels: dict[tuple[tuple[str, datetime], ...], Kept[Funnel]] = {}

    async def propose(self, actor: Actor, order: CampaignOrder, key: str) -> CampaignView:
        """Asks for a campaign, which the authority freezes; the same key makes one.

        Raises:
            Refused, Unavailable, Invalid: as `AuthorityLink.ask` says.
        """
        require(actor, Permission.REQUEST_COMMAND)
        payload = {
            "wish": order.parameters,
            "meters": await wishes.addressees(self._sources, actor, order.names, order.query),
            "reason": order.reason,
            **order.terms,
        }
        outcome = await self._link.ask(actor, "firmware.campaign", payload, key)
        return await self.get(actor, outcome["batch"])

    async def activate(
        self, actor: Actor, campaign: str, order: CampaignOrder, key: str
    ) -> BatchView:
        """Asks for the activation at the meters that have verified the image."""
        require(actor, Permission.REQUEST_COMMAND)
        await self._batches.check_seen(actor, campaign)
        payload = {
            "campaign": campaign,
            "wish": order.parameters,
            "reason": order.reason,
            **order.terms,
        }
        outcome = await self._link.ask(actor, "firmware.activation", payload, key)
        return await self._batches.get(actor, outcome["batch"])

    async def decide(self, actor: Actor, batch: str, decision: Decision, key: str) -> BatchView:
        """Carries a decision about a campaign, or about its activation, to the authority."""
        self._batches.check_may_decide(actor, decision.verb)
        await self._known(actor, batch, (*_BRINGING, ACTIVATE))
        return await self._batches.decide(actor, batch, decision, key)

    async def all(self, actor: Actor, limit: int = 100) -> list[CampaignView]:
        """Returns campaigns, newest first."""
        require(actor, Permission.READ)
        newest = await asyncio.to_thread(self._newest, min(limit, 100))
        seen = await self._batches.seen(actor, newest)
        return [await self._told(actor, each) for each in seen]

    async def get(self, actor: Actor, campaign: str) -> CampaignView:
        """Returns a campaign with its funnel and waves.

        Raises:
            NotFound: there is none with this id.
        """
        told = await self._told(actor, campaign)
        return replace(told, waves=await self._batches.waves(actor, campaign))

    async def _told(self, actor: Actor, campaign: str) -> CampaignView:
        batch = await self._known(actor, campaign, _BRINGING)
        found = await asyncio.to_thread(self._activations, batch)
        seen = await self._batches.seen(actor, found)
        activations = tuple([await self._batches.get(actor, each) for each in seen])
        return CampaignView(batch, activations, await self._kept(batch, activations).get())

    async def _known(self, actor: Actor, batch_id: str, kinds: Sequence[str]) -> BatchView:
        batch = await self._batches.get(actor, batch_id)
        if batch.kind not in kinds:
            raise NotFound(worded("there is no campaign {batch}", batch=batch_id))
        return batch

    def _newest(self, limit: int) -> list[str]:
        query = select(Batch.id).where(Batch.kind.in_(_BRINGING))
        query = query.order_by(Batch.proposed_at.desc()).limit(limit)
        with reading(self._sources.authority) as session:
            return list(session.scalars(query))

    def _activations(self, campaign: BatchView) -> Sequence[str]:
        """Returns the batches that activate what a campaign has brought, oldest first."""
        query = select(Batch.id, Batch.parameters).where(
            Batch.kind == ACTIVATE, Batch.proposed_at >= campaign.proposed_at
        )
        with reading(self._sources.authority) as session:
            found = session.execute(query.order_by(Batch.proposed_at)).all()
        image = campaign.parameters["image"]
        return [batch_id for batch_id, given in found if given.get("image") == image]

    def _kept(self, campaign: BatchView, activations: Sequence[BatchView]) -> Kept[Funnel]:
        """Returns the funnel that all pages share; it is counted anew when a batch has moved."""
        name = tuple((each.id, each.updated_at) for each in (campaign, *activations))
        if name not in self._funnels and len(self._funnels) >= _MOST_KEPT:
            del self._funnels[next(iter(self._funnels))]
        count = partial(self._funnel, campaign.id, [each.id for each in activations])
        return self._funnels.setdefault(name, Kept(count, 0.0, _TIMES))

    def _funnel(self, campaign: str, activations: Sequence[str]) -> Funnel:
        brought = self._rows([campaign])
        activated = {row.meter: row for row in self._rows(activations) if row.meter}
        counts = dict.fromkeys(Funnel.__dataclass_fields__, 0)
        for row in brought:
            for step in _steps(row, activated.get(row.meter)):
                counts[step] += 1
        return Funnel(**counts)

    def _rows(self, batches: Sequence[str]) -> list["_Found"]:
        """Returns how far the rows of batches have come, those that changed last at the end."""
        query = (
            select(BatchRow.meter, BatchRow.state, CommandRecord.findings)
            .outerjoin(CommandRecord, CommandRecord.id == BatchRow.command)
            .where(BatchRow.batch.in_(batches))
            .order_by(BatchRow.updated_at)
        )
        with reading(self._sources.authority) as session:
            return [_Found(*row) for row in session.execute(query)]


class _Found(NamedTuple):
    """One row: of a gateway's own update the meter is empty."""

    meter: str
    state: str
    findings: dict[str, Any] | None


def _steps(brought: _Found, activation: _Found | None) -> list[str]:
    """Returns the steps of the funnel that a row has taken."""
    if brought.state == "excluded":
        return ["excluded"]
    steps = ["targeted"]
    ended = activation or brought
    is_verified = brought.state == "confirmed"
    is_confirmed = ended.state == "confirmed" and _says(ended, "firmware_after")
    if is_verified or _says(brought, "image"):
        steps.append("downloaded")
    if is_verified:
        steps.append("verified")
    if is_confirmed or _image_status(activation) == _ACTIVATED:
        steps.append("activated")
    if is_confirmed:
        steps.append("confirmed")
    if ended.state in FAILED:
        steps.append("failed")
    return steps


def _says(row: _Found, name: str) -> bool:
    return bool((row.findings or {}).get(name))


def _image_status(row: _Found | None) -> object:
    image = (row.findings or {}).get("image") if row is not None else None
    return image.get("status") if isinstance(image, dict) else None
