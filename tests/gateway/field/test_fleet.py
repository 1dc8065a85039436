"""The gateway against the simulator's own process: what was latched is in the outbox, all of it."""

import asyncio
import contextlib
import itertools
import json
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import batch, columns
from hesper_contracts.signing import Signer
from hesper_dlms import obis
from hesper_gateway import app
from hesper_gateway.config import GatewayConfig
from hesper_sim import capture, cli, fleet

PERIOD_S = 1
ROWS_WANTED = 3
PUSH_LINE = "push-2"
SETTINGS = {"tcp": 2, "shared": 2, "dial_in": 2, "rs485": 3, "replay_s": 1.0}


class Simulator:
    """`hesper-sim serve` as a process of its own."""

    def __init__(self, folder: Path, dial_in_port: int) -> None:
        self.state = folder / "sim"
        self.state.mkdir()
        self.fleet = fleet.plan(fleet.FleetSettings(dial_in_port=dial_in_port, **SETTINGS))
        self._file = folder / "fleet.toml"
        self._file.write_text(self.fleet.settings.to_toml())
        self._process: asyncio.subprocess.Process | None = None
        self.ready: dict[str, Any] = {}

    async def start(self) -> None:
        options = f"--capture-period {PERIOD_S} --history-days 0".split()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hesper_sim", "serve", "--json", "--state", self.state),
            *("--fleet", self._file, *options),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            self.ready = json.loads(await self._process.stdout.readline())

    async def stop_latching(self) -> None:
        await asyncio.to_thread(cli.ask, self.state, {"op": "stop_latching"})

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    def journal(self, kind: str) -> dict[tuple[str, str, int], dict[str, int]]:
        """Return what was latched or pushed, by meter, profile and time."""
        lines = (self.state / "journal.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines if line.endswith("}")]
        return {
            (each["meter"], each["profile"], each["captured_at"]): each["values"]
            for each in records
            if each["k"] == kind and each["captured_at"] is not None
        }


def gateway_config(folder: Path, sim: Simulator) -> GatewayConfig:
    """Return a configuration for everything that the simulator serves, and one push line."""
    key = folder / "gateway.key"
    Signer.generate().save(key)
    pushing = {"name": PUSH_LINE, "kind": "push-serial", "path": sim.ready["ports"][PUSH_LINE]}
    captures = [each for each in capture.load_all() if each.push_line == PUSH_LINE]
    return GatewayConfig(
        gateway="gw-test",
        state=folder / "state",
        broker={"host": "127.0.0.1", "port": 1},
        keys={"signing": key},
        schedule={"profile_s": PERIOD_S, "jitter_s": 0.2, "back_off_s": 0.2},
        lines=[*(line_table(sim, line) for line in sim.fleet.lines), pushing],
        meters=[
            *(meter_table(folder, plan) for plan in sim.fleet.meters),
            *(push_meter_table(folder, each) for each in captures),
        ],
    )


def line_table(sim: Simulator, line: fleet.LinePlan) -> dict[str, Any]:
    match line.access:
        case fleet.Access.DIAL_IN:
            where = {"kind": "dial-in", "port": sim.fleet.settings.dial_in_port}
        case fleet.Access.RS485:
            where = {"kind": "serial", "path": sim.ready["serial"]}
        case _:
            host, port = sim.ready["listeners"][line.name].split(":")
            where = {"kind": "tcp", "host": host, "port": int(port)}
    return {"name": line.name} | where


def meter_table(folder: Path, plan: fleet.MeterPlan) -> dict[str, Any]:
    keys = keys_file(folder, plan.serial, plan.encryption_key, plan.authentication_key)
    return {
        "id": plan.serial,
        "line": plan.line,
        "template": "hesper-sim-hdlc" if plan.physical_address else "hesper-sim",
        "logical_device_name": plan.logical_device_name,
        "server_address": plan.server_address,
        "physical_address": plan.physical_address,
        "system_title": plan.system_title.hex(),
        "keys_file": keys,
    }


def push_meter_table(folder: Path, each: capture.Capture) -> dict[str, Any]:
    held = [bytes.fromhex(key) for key in (each.encryption_key, each.authentication_key) if key]
    return {
        "id": each.meter,
        "line": PUSH_LINE,
        "template": f"push-landisgyr-{'e360' if 'e360' in each.name else 'e450'}",
        "system_title": each.identity.get("system_title"),
        "keys_file": keys_file(folder, each.meter, *held) if held else None,
    }


def keys_file(folder: Path, meter: str, encryption: bytes, authentication: bytes) -> Path:
    path = folder / f"{meter}.json"
    document = {"encryption_key": encryption.hex(), "authentication_key": authentication.hex()}
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def outbox_rows(folder: Path) -> dict[tuple[str, str, int], dict[str, int]]:
    """Return every row in the outbox by meter, profile and time; conflicting ones fail."""
    rows: dict[tuple[str, str, int], dict[str, int]] = {}
    with contextlib.closing(sqlite3.connect(folder / "state" / app.DATABASE_NAME)) as database:
        query = "SELECT payload FROM batches WHERE kind = 'readings' ORDER BY sequence"
        payloads = [payload for (payload,) in database.execute(query)]
    for payload in payloads:
        sealed = batch.open_(payload)
        for section in columns.decode(sealed.body, sealed.header.encoding):
            names = [obis.text(each.logical_name) for each in section.quantities]
            for row, captured_at in enumerate(section.captured_at):
                meter = section.meters[section.meter_index[row]]
                values = {name: int(section.values[q][row]) for q, name in enumerate(names)}
                key = (meter, obis.text(section.profile), int(captured_at))
                assert rows.setdefault(key, values) == values
    return rows


async def until(condition: Callable[[], object], within_s: float = 60) -> None:
    """Look at what other processes and threads write until it is as wanted."""
    async with asyncio.timeout(within_s):
        for _ in itertools.count():
            if condition():
                return
            await asyncio.sleep(0.05)


@pytest.mark.integration
async def test_every_latched_value_of_every_kind_of_line_reaches_the_outbox(tmp_path, free_port):
    sim = Simulator(tmp_path, free_port)
    await sim.start()
    running = asyncio.create_task(app.run(gateway_config(tmp_path, sim)))
    wanted = ROWS_WANTED * len(sim.fleet.meters)
    try:
        await until(lambda: len(sim.journal("latch")) >= wanted and len(sim.journal("push")) >= 6)
        await sim.stop_latching()
        latched = sim.journal("latch")
        promised = latched | sim.journal("push")
        await until(lambda: running.done() or not set(promised) - set(outbox_rows(tmp_path)))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await sim.stop()
    found = outbox_rows(tmp_path)
    assert {key: found[key] for key in promised} == promised
    profile = obis.text(obis.LOAD_PROFILE_1)
    assert {key for key in found if key[1] == profile} == set(latched)
