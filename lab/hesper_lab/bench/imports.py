"""Bulk import over REST: 100 000 meters with mistakes in them, tried and then applied as a job.

Broker, head end and authority run as they are installed; the file is brought by POST, the job is
followed by GET until it is done. A dry run that finds another number of mistakes, or a registry
that does not hold every good row afterwards, ends the run.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from hesper_cloud import provision
from hesper_cloud.authority.policy import POLICIES
from hesper_cloud.db.assets import Area
from hesper_cloud.db.engines import writing
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from hesper_contracts.signing import Signer
from rich.console import Console

from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.imports_files import AREA, GATEWAYS, MeterFile, meter_file
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s
from hesper_lab.processes import Child

METERS: Final = 100_000
TARGET_DRY_RUN_S: Final = 10.0
TARGET_APPLY_S: Final = 60.0
_PASSWORD: Final = "bringing-for-a-benchmark"  # noqa: S105 - an account that lives for a minute
_TIMEOUT_S: Final = 300.0
_GIVE_UP_S: Final = 900.0
_LOOK_S: Final = 0.2


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench import", description=__doc__)
    parser.add_argument("--meters", type=int, default=METERS, help="rows of the file")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Bring one file, try it and apply it."""
    say = partial(Console(stderr=True).print, style="dim")
    file = meter_file(asked.meters)
    names = [f"gw-{number}" for number in range(GATEWAYS)]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running(Path(folder) / "site", "duckdb", names) as head_end,
    ):
        say(f"entering {len(names)} gateways and an account")
        _enter(head_end, names)
        _start_authority(head_end)
        with httpx.Client(
            base_url=f"{head_end.site.url}/api/v1", timeout=_TIMEOUT_S, headers=_key(head_end)
        ) as client:
            say(f"trying {file.rows} rows, {len(file.octets)} octets")
            before = cpu_s(head_end.children["cloud"].pid)
            tried, dry_run_s = _tried(client, file)
            middle = cpu_s(head_end.children["cloud"].pid)
            say(f"applying {tried['good_count']} of them")
            apply_s = _applied(client, tried["id"], file)
            after = cpu_s(head_end.children["cloud"].pid)
        is_whole = asked.meters == METERS
    return [
        row("import.dry_run_s", dry_run_s, "s", TARGET_DRY_RUN_S if is_whole else None),
        row("import.apply_s", apply_s, "s", TARGET_APPLY_S if is_whole else None),
        row("import.dry_run_cpu_s", middle - before, "s"),
        row("import.apply_cpu_s", after - middle, "s"),
    ]


def _tried(client: httpx.Client, file: MeterFile) -> tuple[dict[str, Any], float]:
    """Return the dry run's answer and how long it took; every mistake must be in it."""
    begun = time.perf_counter()
    answer = client.post("/meters/import", params={"name": "meters.csv"}, content=file.octets)
    seconds = time.perf_counter() - begun
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    if (found["row_count"], found["bad_count"]) != (file.rows, file.mistaken):
        raise RuntimeError(f"{file.mistaken} of {file.rows} rows are wrong; found: {found}")
    rejected = client.get(f"/imports/{found['id']}/rejected.csv").raise_for_status().text
    rows = list(csv.reader(io.StringIO(rejected)))[1:]
    if len(rows) != file.mistaken or not all(each[-1] for each in rows):
        raise RuntimeError("the rejected rows are not those with mistakes, or have no reason")
    if any(cell.startswith("=") for each in rows for cell in each):
        raise RuntimeError("a rejected row holds a formula")
    return found, seconds


def _applied(client: httpx.Client, import_id: str, file: MeterFile) -> float:
    """Return how long it takes until all good rows are in the registry."""
    begun = time.perf_counter()
    answer = client.post(f"/imports/{import_id}/apply")
    if not answer.is_success:
        raise RuntimeError(f"nothing is applied: {answer.text}")
    while True:
        job = client.get(f"/imports/{import_id}").raise_for_status().json()["job"]
        seconds = time.perf_counter() - begun
        if job["state"] not in ("waiting", "running"):
            break
        if seconds > _GIVE_UP_S:
            raise RuntimeError(f"the job did not end in {_GIVE_UP_S:.0f} s: {job}")
        time.sleep(_LOOK_S)
    good = file.rows - file.mistaken
    if job["state"] != "done" or job["result"] != {"entered": good, "rejected": 0}:
        raise RuntimeError(f"the job came to {job}")
    total = client.get("/meters", params={"limit": "1"}).raise_for_status().json()["total"]
    if total != good:
        raise RuntimeError(f"{total} meters are in the registry, not {good}")
    return seconds


def _key(head_end: HeadEnd) -> dict[str, str]:
    """Return the header by which the account speaks."""
    credentials = {"username": "bench", "password": _PASSWORD}
    answer = httpx.post(f"{head_end.site.url}/api/v1/auth/login", json=credentials, timeout=30)
    return {"Authorization": f"Bearer {answer.raise_for_status().json()['token']}"}


def _enter(head_end: HeadEnd, names: Sequence[str]) -> None:
    databases = Databases.open(Settings.load(head_end.site.cloud / "cloud.toml"))
    try:
        provision.add_user(databases.authority, "bench", "operator", _PASSWORD)
        policy = POLICIES["demo"].model_dump(mode="json")
        provision.activate_policy(databases.authority, "benchmark", policy)
        for name in names:
            provision.add_gateway(databases, name, Signer.generate().public_key.hex())
        with writing(databases.registry) as session:
            session.add(Area(name=AREA))
    finally:
        databases.close()


def _start_authority(head_end: HeadEnd) -> None:
    """Start the process without whose word nothing is applied."""
    site = head_end.site
    command = (Path(sys.executable).parent / "hesper-cloud", "authority", "-c")
    log = site.logs / "authority.log"
    child = Child("authority", (*command, site.cloud / "cloud.toml"), log)
    head_end.children["authority"] = child
    child.start()
