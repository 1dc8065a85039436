"""Firmware images: their manifests and octets come here, and what is kept is shown."""

import asyncio
import uuid
from collections.abc import AsyncIterator

from hesper_contracts import jsonbody
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import SignedManifest

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.images import changelog
from hesper_cloud.images.filling import Filling, Kept, NotKept
from hesper_cloud.images.shelf import shelf_of
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.firmware_records import ImageRow
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import told_by, worded

MANIFEST_MAX = 64 * 1024
"""Octets of a manifest with its seals, by far."""


def manifest_of(octets: bytes) -> SignedManifest:
    """Returns the manifest that a file holds; who has signed it is not looked at here.

    Raises:
        Invalid: it holds none.
    """
    if len(octets) > MANIFEST_MAX:
        raise Invalid("that is no manifest: it is far too long")
    try:
        return jsonbody.decode(octets, SignedManifest)
    except Refused as refusal:
        raise Invalid(worded("that is no manifest: {refusal}", refusal=refusal)) from None


class Images:
    """Every call checks the role first; what counts is the two release keys' signatures."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._shelf = shelf_of(sources.settings)
        self._clock = sources.clock
        self._link = link

    async def all(self, actor: Actor) -> list[ImageRow]:
        """Returns what is kept, by SHA-256."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._all)

    async def announce(self, actor: Actor, document: SignedManifest) -> ImageRow:
        """Takes the manifest of an image whose octets are to follow; safe to repeat.

        Raises:
            Invalid: two release keys have not signed it, or there is no room.
            Unavailable: the authority does not answer, so nothing could be audited.
        """
        require(actor, Permission.REQUEST_COMMAND)
        try:
            kept = await asyncio.to_thread(self._shelf.announce, document, self._clock())
        except NotKept as refusal:
            raise Invalid(told_by(refusal)) from None
        await self._note(actor, "image.announce", kept.said.image_hash, _said(kept))
        return await asyncio.to_thread(self._row, kept)

    async def fill(self, actor: Actor, image_hash: str, octets: AsyncIterator[bytes]) -> ImageRow:
        """Takes the octets of an announced image; kept only if they are the manifest's.

        Raises:
            Invalid: no manifest has come, other octets, more or fewer, or no room.
        """
        require(actor, Permission.REQUEST_COMMAND)
        try:
            filling = await asyncio.to_thread(self._shelf.filling, image_hash)
            kept = await _filled(filling, octets)
        except NotKept as refusal:
            raise Invalid(told_by(refusal)) from None
        await self._note(actor, "image.add", kept.said.image_hash, _said(kept))
        return await asyncio.to_thread(self._row, kept)

    async def describe(self, actor: Actor, image_hash: str, text: bytes) -> ImageRow:
        """Takes what is new in an image, in the place of what was told before; audited first.

        Raises:
            Invalid: no manifest has come, or it is no plain text of up to 16 KiB.
            Unavailable: the authority does not answer, so nothing could be audited.
        """
        require(actor, Permission.REQUEST_COMMAND)
        try:
            kept = await asyncio.to_thread(self._shelf.find, image_hash)
            after = changelog.told(changelog.read(text))
            before = changelog.told(await asyncio.to_thread(self._shelf.changelog, image_hash))
            await self._note(actor, "image.changelog", image_hash, after, before)
            await asyncio.to_thread(self._shelf.describe, image_hash, text)
        except NotKept as refusal:
            raise Invalid(told_by(refusal)) from None
        return await asyncio.to_thread(self._row, kept)

    def _all(self) -> list[ImageRow]:
        return [self._row(kept) for kept in self._shelf.all()]

    def _row(self, kept: Kept) -> ImageRow:
        """Returns a kept image as services give it out."""
        said = kept.said
        return ImageRow(
            image_hash=said.image_hash,
            type=said.type,
            hardware=said.hardware,
            version=said.version,
            minimum_version=said.minimum_version,
            size=said.size,
            not_after=said.not_after,
            is_whole=kept.is_whole,
            is_expired=self._clock() > said.not_after,
            changelog=self._shelf.changelog(said.image_hash),
            signed_by=self._shelf.signers(kept),
        )

    async def _note(
        self, actor: Actor, action: str, image_hash: str, after: str, before: str | None = None
    ) -> None:
        payload = {
            "action": action,
            "subject": f"image {image_hash}",
            "before": before,
            "after": after,
        }
        await self._link.ask(actor, "audit.note", payload, f"image-{uuid.uuid4().hex}")


async def _filled(filling: Filling, octets: AsyncIterator[bytes]) -> Kept:
    try:
        async for some in octets:
            await asyncio.to_thread(filling.write, some)
        return await asyncio.to_thread(filling.finish)
    finally:
        await asyncio.to_thread(filling.abandon)


def _said(kept: Kept) -> str:
    """Returns what the audit log says of an image."""
    said = kept.said
    return f"{said.type} {said.hardware} {said.version}, {said.size} octets"
