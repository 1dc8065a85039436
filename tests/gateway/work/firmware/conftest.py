"""A firmware image, the commands for it, and what the meter has written down of it."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hesper_contracts import jsonbody, manifest
from hesper_contracts.manifest import Manifest
from hesper_contracts.results import CommandResult
from hesper_sim.objects import image_transfer

VERSION = "HSP-FW 1.5.0"
IMAGE = image_transfer.build(VERSION, 8_000)


@dataclass
class Campaign:
    """One image for the meter of `works`."""

    works: Any
    octets: bytes = IMAGE
    version: str = VERSION
    LARGE = image_transfer.build(VERSION, 50_000)
    """More than one block of the contract."""

    @property
    def image_hash(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()

    def slowly(self) -> None:
        """Let the meter take a moment over an activation, and be dark when it restarts."""
        loop = asyncio.get_running_loop()
        self.works.district.later = lambda seconds, then: loop.call_later(seconds / 10, then)

    def offer(self) -> None:
        """Let the cloud have the image."""
        self.works.images[self.image_hash] = self.octets

    def not_after(self, seconds: float = 3600) -> str:
        moment = datetime.fromtimestamp(self.works.now(), UTC) + timedelta(seconds=seconds)
        return moment.isoformat()

    def transfer(self, counter: int = 1, **changes: Any) -> Any:
        """The command that brings the image."""
        parameters = {
            "identifier": self.version,
            "size": len(self.octets),
            "not_after": self.not_after(),
        }
        return self._command("firmware.transfer", counter, parameters, changes)

    def activation(self, counter: int = 2, **changes: Any) -> Any:
        """The command that activates it."""
        parameters = {"version": self.version, "not_after": self.not_after()}
        return self._command("firmware.activate", counter, parameters, changes)

    def said(self, told: dict[str, Any], otherwise: dict[str, Any]) -> Manifest:
        """The manifest that fits what a command is told."""
        named = {
            "type": "meter",
            "hardware": told.get("hardware", "any"),
            "version": told.get("version", self.version),
            "identifier": told.get("identifier"),
            "image_hash": self.image_hash,
            "size": told.get("size", len(self.octets)),
            "not_after": datetime.fromisoformat(told["not_after"]),
            "minimum_version": told.get("minimum_version"),
            "signature": told.get("signature"),
        }
        return Manifest(**(named | otherwise))

    def sealed(self, said: Manifest, by: Any) -> dict[str, Any]:
        """The manifest's document with these people's seals, as JSON has it."""
        document = manifest.unsigned(said)
        for signer in by:
            document = manifest.sign(document, signer)
        told: dict[str, Any] = json.loads(jsonbody.encode(document))
        return told

    def _command(
        self, kind: str, counter: int, parameters: dict[str, Any], changes: dict[str, Any]
    ) -> Any:
        now = datetime.fromtimestamp(self.works.now(), UTC)
        sealed_by = changes.pop("sealed_by", self.works.releases)
        said = self.said(parameters | changes, changes.pop("said", {}))
        until = now + timedelta(seconds=changes.pop("lasts_s", 3600))
        return self.works.command(
            kind,
            counter,
            parameters=parameters | changes | {"manifest": self.sealed(said, sealed_by)},
            image_hash=self.image_hash,
            not_after=until,
        )

    async def end_of(self, command: Any) -> CommandResult:
        """Give a command and return how it ended."""
        self.works.give(command)
        await self.works.until(lambda w: w.ended(command.id))
        ended: CommandResult = self.works.ended(command.id)
        return ended

    def steps(self, step: str) -> list[dict[str, Any]]:
        """What the meter has written down of its image."""
        return [
            each for each in self.works.written if each["k"] == "image" and each["step"] == step
        ]

    @property
    def status(self) -> int:
        """The meter's image_transfer_status as it was last written down."""
        return int(self.steps("status")[-1]["status"])

    def blocks_kept(self) -> list[int]:
        """The numbers of the blocks that the meter kept, in order."""
        return [each["number"] for each in self.steps("block")]

    async def until_kept(self, count: int) -> None:
        """Wait until the meter has so many blocks."""
        async with asyncio.timeout(60):
            while len(self.blocks_kept()) < count:
                await self.works.heard()


@pytest.fixture
def campaign(works: Any) -> Campaign:
    """Simulated time goes on with every message."""
    works.tick_s = 0.01
    campaign = Campaign(works)
    campaign.offer()
    return campaign
