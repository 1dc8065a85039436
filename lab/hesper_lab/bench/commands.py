"""Commands on their real path: many meters' relays read back as one batch, and one by itself.

From the request at REST to the confirmed state at REST: the authority decides and signs, the broker
carries, gateways verify, journal, ask the meters over TCP, sign what they read, and the authority
believes it. Reads cost no budget of disconnects; rate and waves of the batch are opened as wide as
they go, by its own terms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from rich.console import Console

from hesper_lab.bench.commands_site import CommandSite, Say, running
from hesper_lab.bench.rows import Row, row

METERS: Final = 40_000
GATEWAYS: Final = 4
SINGLES: Final = 200
TARGET_MASS_S: Final = 300.0
TARGET_SINGLE_P99_MS: Final = 500.0
_UNDER_WAY_A_GATEWAY: Final = 200
"""A gateway keeps 1000 waiting and has a replay window of 1024."""
_PER_HOUR: Final = 10_000_000
_GIVE_UP_S: Final = 1_200.0
_ENDED: Final = ("failed", "rejected", "expired", "unknown")
_LOOK_S: Final = 1.0
_LOOK_CLOSELY_S: Final = 0.005


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench commands", description=__doc__)
    parser.add_argument("--meters", type=int, default=METERS, help="meters in the batch")
    parser.add_argument("--gateways", type=int, default=GATEWAYS, help="agents they are behind")
    parser.add_argument("--singles", type=int, default=SINGLES, help="single commands before it")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Measure both; about ten minutes with all meters."""
    say = partial(Console(stderr=True).print, style="dim")
    with running(asked.meters, asked.gateways, say) as site:
        say(f"{asked.singles} single commands, one after the other")
        singles = sorted(_single_ms(site, number) for number in range(asked.singles))
        say(f"a batch of {asked.meters} meters")
        before = site.cpu_s()
        seconds = _mass_s(site, say)
        spent = {name: after - before[name] for name, after in site.cpu_s().items()}
    return [
        row("commands.mass_s", seconds, "s", TARGET_MASS_S if asked.meters == METERS else None),
        row("commands.mass_per_s", asked.meters / seconds, "commands/s"),
        row("commands.single_p99_ms", _p99(singles), "ms", TARGET_SINGLE_P99_MS),
        row("commands.single_median_ms", statistics.median(singles), "ms"),
        *(row(f"commands.cpu_s.{name}", used, "s") for name, used in spent.items()),
    ]


def _single_ms(site: CommandSite, number: int) -> float:
    """Return how long one relay that is moved takes to be confirmed by its read-back."""
    begun = time.perf_counter()
    command = site.asks.request_relay(site.lan_meter, "reconnect", f"benchmark {number}")
    while (now := site.asks.get(f"/commands/{command}"))["state"] != "confirmed":
        if now["state"] in _ENDED:
            raise RuntimeError(f"a single command is {now['state']}: {now['detail']}")
        time.sleep(_LOOK_CLOSELY_S)
    return 1e3 * (time.perf_counter() - begun)


def _mass_s(site: CommandSite, say: Say) -> float:
    """Return how long a batch over all meters takes from its approval; all must be confirmed."""
    wave = _UNDER_WAY_A_GATEWAY * len(site.gateways)
    terms = {"canary": 10, "wave_size": wave, "per_hour": _PER_HOUR, "stop_percent": 1}
    batch = site.asks.propose_batch("relay.read", site.meters, "benchmark", terms)
    begun = time.perf_counter()
    site.approves.approve_batch(batch["id"], batch["digest"])
    told = begun
    while True:
        now = site.asks.get(f"/batches/{batch['id']}")
        seconds = time.perf_counter() - begun
        if now["state"] not in ("canary", "running"):
            break
        if seconds > _GIVE_UP_S:
            raise RuntimeError(f"the batch did not end in {_GIVE_UP_S:.0f} s: {now['counts']}")
        if time.perf_counter() - told > 10:
            told = time.perf_counter()
            say(f"{seconds:.0f} s: {now['counts']}")
        time.sleep(_LOOK_S)
    if now["counts"] != {"confirmed": len(site.meters)}:
        raise RuntimeError(f"the batch is {now['state']}: {now['counts']} {now['detail']}")
    return seconds


def _p99(values: Sequence[float]) -> float:
    return values[min(len(values) - 1, int(len(values) * 0.99))]
