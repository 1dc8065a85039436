"""A broker, a store and the head end for a benchmark: the real programs, in one folder.

The broker runs with the configuration and the access rules of the repository, the head end as
``hesper-cloud run``: rules, jobs, receipts, REST and console.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from hesper_cloud import keys
from prometheus_client.parser import text_string_to_metric_families

from hesper_lab import broker_files, cloud_files, influx_files, system
from hesper_lab.bench import bytecode, certificates
from hesper_lab.ports import accepts
from hesper_lab.processes import Child, wait_until
from hesper_lab.site import PACKAGES, Site, StoreKind, Wishes

_BIN: Final = Path(sys.executable).parent
_UP_WITHIN_S: Final = 60.0
_ASK_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class HeadEnd:
    """What runs, and how to reach it; `ca` is the broker's authority where it speaks TLS."""

    site: Site
    children: dict[str, Child]
    passwords: dict[str, str] = field(repr=False)
    receipt_key: bytes
    ca: Path | None

    def metrics(self) -> dict[str, float]:
        """Return the samples of ``/metrics``, named ``name{label}``."""
        text = httpx.get(f"{self.site.url}/metrics", timeout=_ASK_S).text
        return {
            sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def is_receiving(self) -> bool:
        """Return whether the head end has reached its broker."""
        try:
            return self.metrics().get("hesper_ingest_connected") == 1.0
        except httpx.HTTPError:
            return False

    def stored_octets(self) -> int:
        """Return what the readings take on disk, after the head end has ended."""
        state = self.site.cloud / "state"
        if self.site.wishes.store == "influx":
            state = self.site.folder / "influx"
        files = [file for file in state.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files if file.suffix != ".db")


@contextmanager
def running(
    folder: Path, store: StoreKind, gateways: Sequence[str], *, tls: bool = False
) -> Iterator[HeadEnd]:
    """Run broker, store and head end, with accounts for these gateways."""
    site = Site.open(folder, Wishes(store=store, tcp_meters=1))
    names = (*gateways, *cloud_files.ACCOUNTS.values())
    passwords = {name: secrets.token_urlsafe(24) for name in names}
    broker_files.write(site, passwords)
    ca = certificates.write(site.broker) if tls else None
    if ca is not None:
        certificates.require(site.broker / "mosquitto.conf", site.broker)
    settings = cloud_files.write(site, passwords)
    cloud_files.initialise(settings)
    key = keys.receipt_signer(settings.keys).public_key
    head_end = HeadEnd(site, {}, passwords, key, ca)
    try:
        _start(head_end)
        yield head_end
    finally:
        for child in reversed(head_end.children.values()):
            child.stop()
        site.lock.close()


def _start(head_end: HeadEnd) -> None:
    site = head_end.site

    def start(name: str, environment: dict[str, str], *command: str | Path) -> Child:
        child = Child(name, command, site.logs / f"{name}.log", environment)
        head_end.children[name] = child
        child.start()
        return child

    mosquitto = system.require(system.MOSQUITTO, PACKAGES, _silent)
    config = site.broker / "mosquitto.conf"
    broker = start("broker", mosquitto.environment, mosquitto.path, "-c", config)
    wait_until(lambda: accepts(site.ports.broker), broker, _UP_WITHIN_S, "listening")
    if site.wishes.store == "influx":
        influxd = system.require(system.INFLUXD, PACKAGES, _silent)
        influx = influx_files.write(site)
        environment = influx_files.environment(influxd)
        server = start("influx", environment, influxd.path, "-config", influx)
        wait_until(lambda: accepts(site.ports.influx), server, _UP_WITHIN_S, "listening")
    extra = bytecode.kept(site.folder / "bytecode")
    if head_end.ca is not None:
        extra["HESPER_BROKER__TLS_CA"] = str(head_end.ca)
    toml = site.cloud / "cloud.toml"
    cloud = start("cloud", {**os.environ, **extra}, _BIN / "hesper-cloud", "run", "-c", toml)
    wait_until(head_end.is_receiving, cloud, _UP_WITHIN_S, "reaching the broker")


def _silent(_: str) -> None:
    """A benchmark's table is all that is shown."""
