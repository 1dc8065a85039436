"""The agent as it runs in the field: its own process, simulated meters, a real Mosquitto."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from hesper_contracts import batch, columns, commands, events, results, status
from hesper_contracts.commands import Command
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.database import DATABASE_NAME, Database
from hesper_lab.ports import free_port

sys.path.insert(0, str(Path(__file__).parent))
from simulated_site import BIN, SimulatedSite, line_text, meter_text

pytestmark = pytest.mark.integration
GATEWAY = "gw-test"
CAPTURE_PERIOD_S = 2
FLEET = """\
seed = 3
tcp = 2
shared = 2
dial_in = 1
rs485 = 2
dial_in_port = {port}
push = false
"""
GATEWAY_TOML = """\
gateway = "{gateway}"
state = "state"
[broker]
host = "127.0.0.1"
port = {broker_port}
[keys]
signing = "gateway.key"
commands = {{ "{authority.key_id}" = "{authority_public}" }}
receipts = {{ "{ingest.key_id}" = "{ingest_public}" }}
[ceilings]
seconds_between = 0
[metrics]
port = {metrics_port}
[schedule]
profile_s = 2
snapshot_s = 2
events_s = 5
jitter_s = 0
back_off_s = 0.5
back_off_max_s = 2
"""


class Broker(Protocol):
    port: int

    def start(self) -> object: ...
    def kill(self) -> None: ...
    def wipe(self) -> None: ...


@dataclass
class Site(SimulatedSite):
    """A folder with a fleet of meters and the gateway that reads them, each a process."""

    broker_port: int
    metrics_port: int
    authority: Signer = field(default_factory=Signer.generate)
    ingest: Signer = field(default_factory=Signer.generate)
    meters: list[dict[str, Any]] = field(default_factory=list)

    def start_meters(self) -> None:
        fleet = self.folder / "fleet.toml"
        if not fleet.exists():
            fleet.write_text(FLEET.format(port=free_port()))
        plan = subprocess.run(
            [BIN / "hesper-sim", "plan", "--fleet", fleet, "--json"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        planned = json.loads(plan.stdout)
        self.meters = planned["meters"]
        serving = self.start(
            "hesper-sim", "serve", "--json", "--fleet", fleet, "--state", self.folder / "meters",
            "--capture-period", CAPTURE_PERIOD_S, "--history-days", 0,
        )  # fmt: skip
        assert serving.stdout is not None
        ready = json.loads(serving.stdout.readline())
        self._configure(planned["lines"], ready)

    def start_gateway(self) -> "subprocess.Popen[str]":
        return self.start("hesper-gateway", "run", "--config", self.folder / "gateway.toml")

    def gateway_status(self) -> dict[str, Any]:
        command = [BIN / "hesper-gateway", "status", "--json", "-c", self.folder / "gateway.toml"]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(shown.stdout)
        return found

    def metrics(self) -> list[str]:
        address = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.read().decode().splitlines()

    def ask_meters(self, **request: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "meters" / "control.sock"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def relay_of(self, serial: str) -> bool:
        found = self.ask_meters(op="status")["meters"]
        return next(bool(meter["output"]) for meter in found if meter["meter"] == serial)

    def latched(self) -> set[tuple[str, int]]:
        """What the meters have written into their load profiles: (meter, captured_at)."""
        journal = (self.folder / "meters" / "journal.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in journal if '"latch"' in line]
        return {(row["meter"], row["captured_at"]) for row in rows if row["k"] == "latch"}

    def _configure(self, lines: list[dict[str, Any]], ready: dict[str, Any]) -> None:
        text = GATEWAY_TOML.format(
            gateway=GATEWAY,
            broker_port=self.broker_port,
            metrics_port=self.metrics_port,
            authority=self.authority,
            authority_public=self.authority.public_key.hex(),
            ingest=self.ingest,
            ingest_public=self.ingest.public_key.hex(),
        )
        if not (self.folder / "gateway.key").exists():
            Signer.generate().save(self.folder / "gateway.key")
        for line in lines:
            text += line_text(line, ready)
        for meter in self.meters:
            text += meter_text(self.meter_table(meter))
        (self.folder / "gateway.toml").write_text(text)


@pytest.fixture
def site(tmp_path: Path, broker: Broker, unused_tcp_port: int) -> Iterator[Site]:
    site = Site(tmp_path, broker.port, unused_tcp_port)
    site.start_meters()
    yield site
    site.stop()


CloudOn = Callable[..., AbstractAsyncContextManager[Any]]


def stored(cloud: Any) -> dict[tuple[str, int], list[int | None]]:
    """Load-profile rows by (meter, captured_at); a row that came twice must be the same twice."""
    rows: dict[tuple[str, int], list[int | None]] = {}
    for payload in cloud.of(Kind.READINGS):
        opened = batch.open_(payload)
        for section in columns.decode(opened.body, opened.header.encoding):
            if section.profile != LOAD_PROFILE:
                continue
            for index, meter in enumerate(section.meter_index):
                key = (section.meters[meter], int(section.captured_at[index]))
                values = [int(column[index]) for column in section.values]
                assert rows.setdefault(key, values) == values
    return rows


def told(cloud: Any, code: str) -> list[events.Event]:
    lists = [events.from_payload(payload) for payload in cloud.of(Kind.EVENTS)]
    return [event for each in lists for event in each.events if event.code == code]


def states(cloud: Any) -> list[status.GatewayStatus]:
    return [status.gateway_from_payload(payload) for payload in cloud.of(Kind.STATUS)]


def relay_command(site: Site, meter: dict[str, Any], kind: str, counter: int) -> bytes:
    now = datetime.now(UTC)
    command = Command(
        id=f"c-{counter}",
        kind=kind,  # type: ignore[arg-type]
        gateway=GATEWAY,
        meter=meter["serial"],
        logical_device_name=meter["logical_device_name"],
        counter=counter,
        issued_at=now,
        not_before=now,
        not_after=now + timedelta(minutes=2),
        requester="olga",
        approver="anna",
        reason="test",
    )
    return commands.to_payload(command, site.authority)


def results_of(cloud: Any, site: Site) -> dict[str, list[CommandResult]]:
    key = Signer.load(site.folder / "gateway.key")
    found: dict[str, list[CommandResult]] = {}
    for payload in cloud.of(Kind.RESULTS):
        result = results.from_payload(payload, Keyring.of(key.public_key), GATEWAY)
        known = found.setdefault(result.command_id, [])
        if result not in known:
            known.append(result)
    return found


def resident_mb(process: "subprocess.Popen[str]") -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


async def test_every_kind_of_line_is_read_and_receipts_empty_the_outbox(
    site: Site, broker: Broker, cloud_on: CloudOn
) -> None:
    everyone = {meter["serial"] for meter in site.meters}
    async with cloud_on(broker.port, site.ingest) as cloud:
        cloud.generous = True
        gateway = site.start_gateway()
        await cloud.until(lambda c: {meter for meter, _ in stored(c)} == everyone)
        await cloud.until(lambda c: told(c, "gateway.started"))
        assert {event.meter for event in told(cloud, "meter.identified")} == everyone
        assert f"hesper_gateway_meters {len(everyone)}.0" in await asyncio.to_thread(site.metrics)
        assert resident_mb(gateway) <= 80
        site.ask_meters(op="stop_latching")
        latched = site.latched()
        await cloud.until(lambda c: set(stored(c)) == latched)
        gateway.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait, 10) == 0
        await cloud.until(lambda c: states(c)[-1].state == "offline")
        assert states(cloud)[0].meters_total == len(everyone)
    summed = site.gateway_status()
    assert 0 <= summed["backlog_batches"] < summed["last_sequence"]
    assert {
        meter for meter, known in summed["meters"].items() if known["newest_capture"]
    } == everyone


def turn_read_only(card: Path) -> None:
    subprocess.run(["mount", "-o", "remount,abort", card], check=True)


async def test_an_agent_whose_card_turns_read_only_says_so_sends_and_moves_no_relay(
    dying_card: Path, site: Site, broker: Broker, cloud_on: CloudOn
) -> None:
    meter = next(meter for meter in site.meters if meter["access"] == "tcp")
    async with cloud_on(broker.port, site.ingest) as cloud:
        cloud.authority = site.authority
        gateway = site.start_gateway()
        await cloud.until(lambda c: len(stored(c)) >= 10)
        await asyncio.to_thread(turn_read_only, dying_card)
        await cloud.until(lambda c: states(c)[-1].storage_failing)
        assert not states(cloud)[-1].storage_full
        assert "hesper_gateway_storage_failing 1.0" in await asyncio.to_thread(site.metrics)
        await cloud.send(GATEWAY, Kind.COMMANDS, relay_command(site, meter, "relay.disconnect", 1))
        count = len(states(cloud))
        await cloud.until(lambda c: len(states(c)) > count)
        cloud.heard.clear()
        await cloud.announce()
        await cloud.until(lambda c: len(stored(c)) >= 10)
        assert "gateway.command_dropped" in (site.folder / "hesper-gateway.log").read_text()
        assert results_of(cloud, site) == {}
        assert site.relay_of(meter["serial"])
        assert gateway.poll() is None


async def test_kills_of_gateway_and_broker_lose_and_double_nothing(
    site: Site, broker: Broker, cloud_on: CloudOn
) -> None:
    site.start_gateway()
    async with cloud_on(broker.port, site.ingest) as first:
        first.generous = True
        await first.until(lambda c: len(stored(c)) >= 10)
        site.running[-1].kill()
        site.start_gateway()
        await first.until(lambda c: len(stored(c)) >= 20)
    broker.kill()
    broker.wipe()
    await asyncio.to_thread(site.running[-1].send_signal, signal.SIGKILL)
    site.start_gateway()
    broker.start()
    async with cloud_on(broker.port, site.ingest) as second:
        second.generous = True
        second.heard = list(first.heard)
        await second.until(lambda c: len(stored(c)) >= 30)
        site.ask_meters(op="stop_latching")
        latched = site.latched()
        await second.until(lambda c: set(stored(c)) >= latched)
        assert set(stored(second)) == latched


async def test_a_relay_is_moved_and_confirmed_on_every_kind_of_line(
    site: Site, broker: Broker, cloud_on: CloudOn
) -> None:
    chosen = {meter["access"]: meter for meter in site.meters}
    async with cloud_on(broker.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        site.start_gateway()
        await cloud.until(
            lambda c: {m for m, _ in stored(c)} >= {m["serial"] for m in chosen.values()}, 30
        )
        for number, meter in enumerate(chosen.values(), start=1):
            await cloud.send(GATEWAY, Kind.COMMANDS, b"HC1s forged")
            envelope = relay_command(site, meter, "relay.disconnect", number)
            await cloud.send(GATEWAY, Kind.COMMANDS, envelope)
            await cloud.send(GATEWAY, Kind.COMMANDS, envelope)
            name = f"c-{number}"
            await cloud.until(lambda c, n=name: len(results_of(c, site).get(n, ())) == 2)
            executing, confirmed = results_of(cloud, site)[name]
            assert (executing.state, confirmed.state) == ("executing", "confirmed")
            assert confirmed.relay_after is not None
            assert confirmed.relay_after.output is False
            assert "1.0.1.8.0.255" in confirmed.registers
            assert not site.relay_of(meter["serial"])
        await cloud.until(lambda c: told(c, "gateway.command_forged"))
        lan = chosen["tcp"]
        await cloud.send(GATEWAY, Kind.COMMANDS, relay_command(site, lan, "relay.reconnect", 50))
        await cloud.until(lambda c: len(results_of(c, site).get("c-50", ())) == 2)
        assert site.relay_of(lan["serial"])


async def test_a_command_in_flight_when_the_gateway_is_killed_acts_once(
    site: Site, broker: Broker, cloud_on: CloudOn
) -> None:
    meter = next(meter for meter in site.meters if meter["access"] == "tcp")
    async with cloud_on(broker.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        site.start_gateway()
        await cloud.until(lambda c: meter["serial"] in {m for m, _ in stored(c)})
        envelope = relay_command(site, meter, "relay.disconnect", 1)
        await cloud.send(GATEWAY, Kind.COMMANDS, envelope)
        await cloud.until(lambda c: results_of(c, site).get("c-1"))
        site.running[-1].kill()
        site.start_gateway()
        await cloud.send(GATEWAY, Kind.COMMANDS, envelope)
        await cloud.until(lambda c: results_of(c, site)["c-1"][-1].state != "executing")
    moves = [
        json.loads(line)
        for line in (site.folder / "meters" / "journal.jsonl").read_text().splitlines()
        if '"relay"' in line
    ]
    cuts = [move for move in moves if move["k"] == "relay" and move["cause"] == "remote"]
    assert len(cuts) <= 1
    last = results_of(cloud, site)["c-1"][-1]
    assert last.state == ("failed" if site.relay_of(meter["serial"]) else "confirmed")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("gateway = 5", "gateway.toml"),
        (
            'gateway = "g"\n[broker]\nhost = "localhost"\n[keys]\nsigning = "absent.key"',
            "absent.key",
        ),
        ('gateway = "g"\nfoo = 1\n[broker]\nhost = "localhost"', "foo"),
    ],
)
def test_a_wrong_configuration_is_told_plainly(tmp_path: Path, broken: str, said: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(broken)
    ended = subprocess.run(
        [BIN / "hesper-gateway", "run", "--config", path],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_where_no_configuration_is_the_option_for_another_is_told(tmp_path: Path) -> None:
    ended = subprocess.run(
        [BIN / "hesper-gateway", "run"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    said = "there is no gateway.toml; another one is named by --config\n"
    assert (ended.returncode, ended.stderr) == (2, said)


def test_a_wrong_configuration_is_told_also_beside_a_running_agent(tmp_path: Path) -> None:
    Signer.generate().save(tmp_path / "gateway.key")
    path = tmp_path / "gateway.toml"
    path.write_text(
        'gateway = "g"\nstate = "."\n[broker]\nhost = "localhost"\n'
        '[[lines]]\nname = "lan"\nkind = "tcp"\nhost = "localhost"\nport = 1\n'
        '[[meters]]\nid = "M1"\nline = "lan"\ntemplate = "no-such-kind"\n'
    )
    running = Database(tmp_path / DATABASE_NAME, ballast_octets=0)
    ended = subprocess.run(
        [BIN / "hesper-gateway", "run", "--config", path],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    running.close()
    assert ended.returncode == 2
    assert "no-such-kind" in ended.stderr


def test_keygen_shows_the_public_half_and_replaces_nothing(tmp_path: Path) -> None:
    command = [BIN / "hesper-gateway", "keygen", tmp_path / "gateway.key"]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(made.stdout)["key_id"] == Signer.load(tmp_path / "gateway.key").key_id
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 2
