"""A soak: 100 meters on mixed lines through one gateway under a scenario of faults.

Meters latch and are read all the time. Shortly before the end the faults stop; then latching stops,
the system drains, and every reading of the simulator's journal is held against the export. The
gateway process is gauged from start to end: what it held after a warm-up is compared with what it
holds at last.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hesper_contracts import status
from hesper_contracts.frame import Kind
from hesper_contracts.topics import Topics
from paho.mqtt import subscribe

from hesper_lab.check import account_of, broken_promises
from hesper_lab.cloud_files import ACCOUNTS
from hesper_lab.gateway_files import LAN
from hesper_lab.reconcile import Account
from hesper_lab.rest import Rest
from hesper_lab.running import Running, running
from hesper_lab.site import LOOPBACK, Site, StoreKind, Wishes
from hesper_lab.soak.gauge import Gauge, Sample, cpu_share

Say = Callable[[str], None]
SCENARIO = Path(__file__).with_name("faults.toml")
CAPTURE_PERIOD_S = 20
_CALM_S = 120.0  # longer than any fault lasts
_WARM_SHARE = 0.15
_DRAIN_S = 240.0
_TELL_S = 30.0


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a soak found; ``reasons`` is empty when every promise held."""

    minutes: float
    meters: int
    account: Account
    samples: tuple[Sample, ...]
    drained_s: float
    failures: dict[str, int]
    reasons: tuple[str, ...]

    @property
    def warm(self) -> tuple[Sample, ...]:
        """The samples after the warm-up."""
        return self.samples[int(len(self.samples) * _WARM_SHARE) :]

    def to_json(self) -> dict[str, Any]:
        """Return the fields that machines read."""
        warm = self.warm
        quarter = max(1, len(warm) // 4)
        return {
            "minutes": round(self.minutes, 1),
            "meters": self.meters,
            **self.account.counts(),
            "drained_s": round(self.drained_s, 1),
            "failures": self.failures,
            "rss_mb_warm": _middle(warm[:quarter], "rss_mb"),
            "rss_mb_end": _middle(warm[-quarter:], "rss_mb"),
            "cpu_warm": round(cpu_share(list(warm[: quarter + 1])), 4),
            "cpu_end": round(cpu_share(list(warm[-quarter - 1 :])), 4),
            "descriptors_warm": _middle(warm[:quarter], "descriptors"),
            "descriptors_end": _middle(warm[-quarter:], "descriptors"),
            "ok": not self.reasons,
        }


def run(
    folder: Path,
    minutes: float,
    say: Say,
    *,
    store: StoreKind = "duckdb",
    install: bool = True,
) -> Soaked:
    """Run a soak in a folder of its own, which must be empty or absent."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    site = Site.open(folder, wishes(folder, minutes, store))
    with running(site, say, install=install) as system:
        return _observe(system, minutes, say)


def wishes(folder: Path, minutes: float, store: StoreKind) -> Wishes:
    """Return what a soak wants of its site; write the scenario into its folder."""
    return Wishes(
        store=store,
        capture_period_s=CAPTURE_PERIOD_S,
        history_days=0,
        pushes=False,
        one_gateway=True,
        scenario=str(_scenario(folder, minutes)),
        tcp_meters=48,
        shared_meters=16,
        dial_in_meters=24,
        rs485_meters=12,
    )


def _observe(system: Running, minutes: float, say: Say) -> Soaked:
    gauge = Gauge(system.children[LAN].pid)
    try:
        _let_work(system, minutes * 60, gauge, say)
        failures = _failures(system.site)
        system.ask_sim({"op": "stop_latching"})
        say("latching stopped; draining")
        account, drained_s = _drain(system)
    finally:
        samples = gauge.stop()
    return Soaked(
        minutes,
        len(system.fleet.meters),
        account,
        tuple(samples),
        drained_s,
        failures,
        tuple(broken_promises(account)),
    )


def _let_work(system: Running, seconds: float, gauge: Gauge, say: Say) -> None:
    ends_at = time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(_TELL_S, left))
        system.check()
        now = gauge.samples[-1]
        say(f"{max(left, 0) / 60:5.1f} min left; the gateway holds {now.rss_mb} MB")


def _drain(system: Running) -> tuple[Account, float]:
    began = time.monotonic()
    operator = Rest(system.site.url, system.site.account("operator"))
    try:
        while True:
            account = account_of(system, operator)
            passed = time.monotonic() - began
            if account.is_clean or passed > _DRAIN_S:
                return account, passed
            time.sleep(1)
    finally:
        operator.close()


def _scenario(folder: Path, minutes: float) -> Path:
    """Write the scenario so that nothing new goes wrong in the last part of the run."""
    ends_s = max(0.0, minutes * 60 - _CALM_S)
    scenario = folder / SCENARIO.name
    scenario.write_text(SCENARIO.read_text().replace('until = "57m"', f'until = "{ends_s:.0f}s"'))
    return scenario


def _failures(site: Site) -> dict[str, int]:
    """Return the failed attempts by hop, as the gateway's retained status tells them."""
    topic = Topics().up(LAN, Kind.STATUS)
    message = subscribe.simple(  # type: ignore[no-untyped-call]
        topic,
        hostname=LOOPBACK,
        port=site.ports.broker,
        auth={
            "username": ACCOUNTS["ingest"],
            "password": (site.cloud / "ingest.password").read_text().strip(),
        },
    )
    return status.gateway_from_payload(message.payload).failures


def _middle(samples: tuple[Sample, ...], name: str) -> float:
    return round(float(statistics.median(getattr(each, name) for each in samples)), 1)
