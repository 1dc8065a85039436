"""What a gateway does to itself on the authority's word, as the process that runs in the field."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from hesper_contracts import commands, jsonbody, results
from hesper_contracts.commands import Command
from hesper_contracts.frame import Encoding, Kind, Refused, header
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.database import DATABASE_NAME, Database
from hesper_gateway.own import Configurator, Trial
from hesper_gateway.own.trial import MOST_STARTS, ConfigurationFile

sys.path.insert(0, str(Path(__file__).parent))
from simulated_site import BIN, SimulatedSite

GATEWAY = "gw-own"
WITHIN_S = 60
TOML = """\
gateway = "gw-own"
state = "state"
[broker]
host = "127.0.0.1"
port = {port}
root = "{root}"
trial_s = {trial_s}
[keys]
signing = "gateway.key"
commands = {{ "{key.key_id}" = "{public}" }}
receipts = {{ "{ingest.key_id}" = "{ingest_public}" }}
[ceilings]
disconnects_per_hour = {ceiling}
"""
CloudOn = Callable[..., AbstractAsyncContextManager[Any]]


class Broker(Protocol):
    port: int


class Site(SimulatedSite):
    """A gateway without meters, and the authority that it obeys."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder)
        self.port = port
        self.authority, self.ingest, self.key = (Signer.generate() for _ in range(3))
        self.key.save(folder / "gateway.key")
        self.file.write_text(self.toml())

    @property
    def file(self) -> Path:
        return self.folder / "gateway.toml"

    def toml(self, **changes: Any) -> str:
        told = {"port": self.port, "root": "hesper/v1", "trial_s": 60, "ceiling": 5} | changes
        return TOML.format(
            key=self.authority,
            public=self.authority.public_key.hex(),
            ingest=self.ingest,
            ingest_public=self.ingest.public_key.hex(),
            **told,
        )

    def start_gateway(self) -> "subprocess.Popen[str]":
        return self.start("hesper-gateway", "run", "--config", self.file)

    def command(self, kind: str, counter: int = 1, **changes: Any) -> bytes:
        command = Command(**(self.fields(kind, counter) | changes))
        return commands.to_payload(command, self.authority)

    def fields(self, kind: str, counter: int = 1) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "id": f"c-{counter}",
            "kind": kind,
            "gateway": GATEWAY,
            "meter": "",
            "logical_device_name": None,
            "counter": counter,
            "issued_at": now + timedelta(seconds=30),  # after the journal's beginning
            "not_before": now - timedelta(seconds=5),
            "not_after": now + timedelta(minutes=5),
            "requester": "ann",
            "approver": "ben",
            "reason": "test",
        }

    def configure(self, counter: int = 1, **changes: Any) -> bytes:
        parameters = {"toml": self.toml(**changes)}
        return self.command("gateway.configure", counter, parameters=parameters)

    def result(self, cloud: Any, state: str, command: str = "c-1") -> CommandResult | None:
        key = Keyring.of(self.key.public_key)
        told = [results.from_payload(each, key, GATEWAY) for each in cloud.of(Kind.RESULTS)]
        those = [each for each in told if (each.command_id, each.state) == (command, state)]
        return those[-1] if those else None


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    site = Site(tmp_path, broker.port)
    yield site
    site.stop()


async def ended(site: Site, cloud: Any, envelope: bytes, state: str) -> CommandResult:
    """Give a command to the running gateway and wait for that end of it."""
    await cloud.until(lambda c: c.of(Kind.STATUS), WITHIN_S)
    await cloud.send(GATEWAY, Kind.COMMANDS, envelope)
    await cloud.until(lambda c: site.result(c, state), WITHIN_S)
    found = site.result(cloud, state)
    assert found is not None
    return found


async def test_a_restart_is_confirmed_by_the_program_that_began_after_it(
    site: Site, cloud_on: CloudOn
) -> None:
    async with cloud_on(site.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        process = site.start_gateway()
        before = datetime.now(UTC)
        result = await ended(site, cloud, site.command("gateway.restart"), "confirmed")
    assert result.meter == ""
    assert result.findings.started_at > before
    assert process.poll() is None


async def test_a_configuration_that_reaches_the_broker_stays(site: Site, cloud_on: CloudOn) -> None:
    wanted = site.toml(trial_s=61, ceiling=4)
    async with cloud_on(site.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        site.start_gateway()
        envelope = site.configure(trial_s=61, ceiling=4)
        result = await ended(site, cloud, envelope, "confirmed")
    assert result.findings.configuration == hashlib.sha256(wanted.encode()).hexdigest()
    assert site.file.read_text() == wanted
    assert sorted(each.name for each in site.folder.glob("gateway.toml*")) == ["gateway.toml"]


async def test_a_configuration_that_does_not_reach_the_broker_is_given_up(
    site: Site, cloud_on: CloudOn, unused_tcp_port: int
) -> None:
    old = site.file.read_text()
    async with cloud_on(site.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        site.start_gateway()
        envelope = site.configure(port=unused_tcp_port, trial_s=1)
        result = await ended(site, cloud, envelope, "failed")
    assert "the old configuration is back: the head end did not answer" in result.detail
    assert site.file.read_text() == old


async def test_a_broker_where_no_head_end_answers_is_not_enough(
    site: Site, cloud_on: CloudOn
) -> None:
    """A mistake in the root, or a stranger's broker: the gateway would never be heard again."""
    old = site.file.read_text()
    async with cloud_on(site.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        site.start_gateway()
        envelope = site.configure(root="nobody/v1", trial_s=3)
        result = await ended(site, cloud, envelope, "failed")
    assert "the head end did not answer within 3 s" in result.detail
    assert site.file.read_text() == old


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ceiling": 6}, "ceilings: are raised at the gateway alone"),
        ({"port": '"x"'}, "broker.port"),
    ],
)
async def test_what_is_not_its_to_change_is_rejected(
    site: Site, cloud_on: CloudOn, changes: dict[str, Any], words: str
) -> None:
    old = site.file.read_text()
    async with cloud_on(site.port, site.ingest) as cloud:
        cloud.generous, cloud.authority = True, site.authority
        site.start_gateway()
        result = await ended(site, cloud, site.configure(**changes), "rejected")
        assert words in result.detail
        other = site.toml().replace("gateway.key", "another.key")
        envelope = site.command("gateway.configure", 2, parameters={"toml": other})
        await cloud.send(GATEWAY, Kind.COMMANDS, envelope)
        await cloud.until(lambda c: site.result(c, "rejected", "c-2"), WITHIN_S)
        alone = site.command("gateway.configure", 3, approver="ann", parameters={"toml": old})
        await cloud.send(GATEWAY, Kind.COMMANDS, alone)
        await cloud.until(lambda c: site.result(c, "rejected", "c-3"), WITHIN_S)
    assert site.file.read_text() == old


def test_a_kind_that_a_release_does_not_know_is_refused_and_nothing_else(site: Site) -> None:
    known = jsonbody.encode(Command(**(site.fields("gateway.restart"))))
    body = known.replace(b"gateway.restart", b"gateway.dance")
    payload = site.authority.sign(header(Kind.COMMANDS, Encoding.SIGNED_JSON), body)
    with pytest.raises(Refused):
        commands.from_payload(payload, Keyring.of(site.authority.public_key), GATEWAY)


@pytest.mark.parametrize(
    ("kind", "meter"), [("gateway.restart", "HES1"), ("ping", ""), ("relay.disconnect", "")]
)
def test_a_command_is_for_a_meter_or_for_the_gateway(site: Site, kind: str, meter: str) -> None:
    with pytest.raises(ValueError, match="is for a"):
        site.command(kind, meter=meter)


@pytest.mark.parametrize("steps", [0, 1])
async def test_what_a_power_cut_kept_from_being_tried_is_not_in_force(
    site: Site, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command was journalled as executing, and nothing of it is in place yet."""
    from hesper_gateway.own import trial

    put, left = trial.put, steps

    def cut(path: Path, octets: bytes) -> None:
        nonlocal left
        if not left:
            raise PowerCutError
        put(path, octets)
        left -= 1

    old, file = site.file.read_bytes(), ConfigurationFile(site.file)
    monkeypatch.setattr(trial, "put", cut)
    parameters = {"toml": site.toml(trial_s=7)}
    command = Command(**site.fields("gateway.configure") | {"parameters": parameters})
    with pytest.raises(PowerCutError):
        await Configurator(file.begin(), Trial(file, 1)).run(command, lambda: None)
    monkeypatch.setattr(trial, "put", put)
    after = Trial(ConfigurationFile(site.file), 1)
    configurator = Configurator(after.file.begin(), after)
    await after.run(_answered)
    report = await configurator.check(command)
    assert (report.done, report.findings.configuration) == (False, hashlib.sha256(old).hexdigest())
    assert "give the command again" in report.detail


async def _answered() -> None:
    """The head end is there at once."""


class TestConfigurationFile:
    """A power cut at any step leaves the old file or the trial."""

    @pytest.fixture
    def file(self, site: Site) -> ConfigurationFile:
        return ConfigurationFile(site.file)

    def test_as_many_starts_as_may_be(self, site: Site, file: ConfigurationFile) -> None:
        old = site.file.read_text()
        file.try_out(site.toml(trial_s=7), "c-1")
        for _ in range(MOST_STARTS):
            assert file.begin().broker.trial_s == 7
            assert file.is_on_trial
        assert file.begin().broker.trial_s == 60
        assert (site.file.read_text(), file.is_on_trial) == (old, False)
        assert "did not answer in 3 starts" in (file.given_up("c-1") or "")
        assert file.given_up("c-2") is None

    def test_a_second_agent_takes_no_start_from_the_one_that_runs(
        self, site: Site, file: ConfigurationFile
    ) -> None:
        file.try_out(site.toml(trial_s=7), "c-1")
        running = Database(file.begin().state / DATABASE_NAME, ballast_octets=0)
        for _ in range(MOST_STARTS):
            second = [BIN / "hesper-gateway", "run", "--config", site.file]
            refused = subprocess.run(second, check=False, capture_output=True, text=True)
            assert (refused.returncode, "is in use" in refused.stderr) == (1, True)
        assert file.is_on_trial
        running.close()
        assert [file.begin().broker.trial_s for _ in range(MOST_STARTS)] == [7, 7, 60]

    def test_a_file_that_cannot_be_read_falls_back_at_once(
        self, site: Site, file: ConfigurationFile
    ) -> None:
        file.try_out("gateway = ", "c-1")
        assert file.begin().gateway == GATEWAY
        assert "not TOML" in (file.given_up("c-1") or "")

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_a_power_cut_between_the_steps(
        self,
        site: Site,
        file: ConfigurationFile,
        steps: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from hesper_gateway.own import trial

        done, put = [], trial.put

        def cut(path: Path, octets: bytes) -> None:
            if len(done) == steps:
                raise PowerCutError
            put(path, octets)
            done.append(path)

        monkeypatch.setattr(trial, "put", cut)
        with suppress(PowerCutError):
            file.try_out(site.toml(trial_s=7), "c-1")
        monkeypatch.setattr(trial, "put", put)
        after = ConfigurationFile(site.file)
        assert after.begin().broker.trial_s == (7 if steps == 3 else 60)
        assert after.is_on_trial is (steps == 3)

    def test_a_full_disk_leaves_the_old_file(
        self, site: Site, file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from hesper_gateway.own import trial

        put = trial.put
        file.try_out(site.toml(trial_s=7), "c-1")
        monkeypatch.setattr(trial, "put", _no_space)
        assert file.begin().broker.trial_s == 60
        assert not file.is_on_trial
        assert file.given_up("c-1")
        assert file.begin().broker.trial_s == 60
        monkeypatch.setattr(trial, "put", put)
        assert file.begin().broker.trial_s == 60
        assert file.given_up("c-1")

    def test_what_did_not_fit_on_the_disk_was_never_tried(
        self, site: Site, file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from hesper_gateway.own import trial

        put = trial.put

        def full_at_last(path: Path, octets: bytes) -> None:
            (put if path != site.file else _no_space)(path, octets)

        monkeypatch.setattr(trial, "put", full_at_last)
        with pytest.raises(OSError, match="No space"):
            file.try_out(site.toml(trial_s=7), "c-1")
        assert [each.name for each in site.folder.glob("gateway.toml*")] == ["gateway.toml"]

    def test_a_hand_at_the_gateway_wins(self, site: Site, file: ConfigurationFile) -> None:
        file.try_out(site.toml(trial_s=7), "c-1")
        site.file.write_text(site.toml(trial_s=9))
        assert file.begin().broker.trial_s == 9
        assert not file.is_on_trial


def _no_space(_path: Path, _octets: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PowerCutError(Exception):
    """The power is gone here."""
