"""A gateway under its launcher, and versions of it made from this very source."""

import asyncio
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import hesper_contracts
import hesper_dlms
import hesper_gateway
import pytest
from hesper_contracts import commands, jsonbody, manifest, results, status
from hesper_contracts.commands import Command
from hesper_contracts.frame import Kind
from hesper_contracts.manifest import Manifest
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.update.slots import Slots, State
from hesper_lab import toml_text

VERSION = "9.9.9"
WITHIN_S = 120
PACKAGES = (hesper_contracts, hesper_dlms, hesper_gateway)


def bundle(version: str = VERSION, **changed: tuple[str, str]) -> bytes:
    """A bundle with one wheel of our own source.

    Args:
        version: What it calls itself.
        changed: Module of hesper_gateway → text that is replaced there, and by what; the text of
            the whole module where the former is empty.
    """
    octets = _with(_wheel(version), changed)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(f"hesper-{version}-py3-none-any.whl", octets)
    return whole.getvalue()


@cache
def _wheel(version: str) -> bytes:
    """Our own source as a wheel of a version."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            root = Path(package.__file__ or "").parent
            for path in sorted(root.rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    archive.writestr(f"{root.name}/{path.relative_to(root)}", path.read_bytes())
        archive.writestr(
            f"hesper-{version}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: hesper\nVersion: {version}\n",
        )
    return wheel.getvalue()


def _with(wheel: bytes, changed: dict[str, tuple[str, str]]) -> bytes:
    if not changed:
        return wheel
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(wheel)) as source,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            octets = source.read(name)
            for module, (old, new) in changed.items():
                if name == f"hesper_gateway/{module}.py":
                    text = octets.decode()
                    assert old in text
                    octets = (text.replace(old, new) if old else new).encode()
            target.writestr(name, octets)
    return written.getvalue()


@dataclass
class Updated:
    """A gateway that is updated, with one meter, and the cloud that it knows."""

    works: Any
    port: int
    cloud: Any
    ingest: Signer
    trial_s: float = 240
    octets: bytes = field(default_factory=bundle)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def image_hash(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()

    @property
    def slots(self) -> Slots:
        return Slots(self.works.folder / "state" / "versions")

    @property
    def state(self) -> State:
        return self.slots.state()

    @property
    def config(self) -> Path:
        path: Path = self.works.folder / "gateway.toml"
        if not path.exists():
            told = self.works.whole(
                self.port,
                self.ingest,
                firmware={"octets_per_s": 10**7},
                schedule={"profile_s": 5, "snapshot_s": 5, "events_s": 5, "jitter_s": 0},
            )
            document = json.loads(told.model_dump_json(exclude_none=True))
            path.write_text(toml_text.text(document))
        return path

    def launch(self) -> None:
        """Start the launcher, as a service manager does."""
        words = [str(Path(sys.executable).with_name("hesper-gateway")), "launch"]
        words += ["--config", str(self.config), "--trial", str(self.trial_s)]
        with (self.works.folder / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def cut_power(self) -> None:
        """Kill the launcher; the kernel ends what it has started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(WITHIN_S)
            self._process = None

    def stop(self) -> int:
        """End it in order; return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(WITHIN_S)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(0.02)

    async def started(self) -> None:
        """Wait until the gateway has told that it is up and what it is."""
        self.cloud.heard.clear()
        await self.cloud.until(lambda c: self.version(), WITHIN_S)

    def version(self) -> str | None:
        """What the gateway last said that it is, while it is there."""
        told = [status.gateway_from_payload(each) for each in self.cloud.of(Kind.STATUS) if each]
        online = [each for each in told if each.state == "online"]
        return online[-1].version if online else None

    def command(self, **changes: Any) -> Command:
        """The command that brings the version."""
        said = {
            "type": "gateway",
            "hardware": "any",
            "version": VERSION,
            "image_hash": self.image_hash,
            "size": len(self.octets),
            "not_after": datetime.now(UTC) + timedelta(days=1),
        }
        document = manifest.unsigned(Manifest(**(said | changes.pop("said", {}))))
        for signer in changes.pop("sealed_by", self.works.releases):
            document = manifest.sign(document, signer)
        now = datetime.now(UTC)
        fields = {
            "id": "c-1",
            "kind": "gateway.update",
            "gateway": "gw-1",
            "meter": "",
            "logical_device_name": None,
            "counter": 1,
            "issued_at": now + timedelta(seconds=30),  # after the journal's beginning
            "not_before": now - timedelta(seconds=5),
            "not_after": now + timedelta(hours=1),
            "requester": "ann",
            "approver": "ben",
            "reason": "release 9.9.9",
            "parameters": {"manifest": json.loads(jsonbody.encode(document))},
            "image_hash": self.image_hash,
        }
        return Command(**(fields | changes))

    async def order(self, **changes: Any) -> None:
        """Give the command; the cloud has the image."""
        self.cloud.images[self.image_hash] = self.octets
        envelope = commands.to_payload(self.command(**changes), self.works.authority)
        await self.cloud.send("gw-1", Kind.COMMANDS, envelope)

    def result(self, command: str = "c-1") -> CommandResult | None:
        """How a command ended."""
        keys = Keyring.of(self.works.key.public_key)
        told = [results.from_payload(each, keys, "gw-1") for each in self.cloud.of(Kind.RESULTS)]
        mine = (each for each in told if each.command_id == command and each.state != "executing")
        return next(mine, None)

    async def ended(self, command: str = "c-1") -> CommandResult:
        await self.cloud.until(lambda c: self.result(command), WITHIN_S)
        result = self.result(command)
        assert result is not None
        return result


@pytest.fixture
def make_bundle() -> Any:
    return bundle


@pytest.fixture
async def updated(works: Any, broker: Any, cloud_on: Any) -> AsyncIterator[Updated]:
    """The launcher runs; the gateway is up as it was installed."""
    works.clock = time.time
    ingest = Signer.generate()
    async with works.line(), cloud_on(broker.port, ingest) as cloud:
        cloud.generous, cloud.authority = True, works.authority
        made = Updated(works, broker.port, cloud, ingest)
        try:
            yield made
        finally:
            made.cut_power()
