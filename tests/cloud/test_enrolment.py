"""A device takes a gateway's name: what a token opens, once, and everything that was tried."""

import base64
import os
import stat
import threading
from codecs import BOM_UTF8
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from alembic import command as alembic
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hesper_cloud import audit, gateway_files, keeping, keys
from hesper_cloud.api.application import create_app
from hesper_cloud.authority import broker_files
from hesper_cloud.authority.broker_accounts import BrokerAccounts, password_hash, write_accounts
from hesper_cloud.authority.enrolment import NO_TOKEN
from hesper_cloud.db import migrate
from hesper_cloud.db.authority import (
    AuditRow,
    BrokerAccount,
    EnrolmentToken,
    GatewayKey,
    KeptConfiguration,
)
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Result
from hesper_cloud.latest import LatestValues
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.enrolments import WHO
from hesper_cloud.services.errors import Invalid, LoginRefused
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import EnrolmentSettings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.vault import Locked, Vault, VaultBroken
from hesper_contracts import enrolment
from hesper_contracts.enrolment import Ask, Token
from hesper_contracts.signing import Signer
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from patience import eventually
from sqlalchemy import inspect, select

DEADLINE_S = 60.0
GATEWAY, METER_KEY = "gw-1", "00112233445566778899aabbccddeeff"
TOML = """\
gateway = "{gateway}"
state = "/var/lib/hesper"
[broker]
host = "broker.example.org"
username = "{gateway}"
password_file = "broker.password"
[keys]
commands = {{ {commands} }}
receipts = {{ {receipts} }}
[[lines]]
name = "a"
kind = "tcp"
host = "192.0.2.1"
port = 4059
[[meters]]
id = "M1"
line = "a"
template = "own"
keys_file = "meters/M1.json"
"""


class Device(NamedTuple):
    """A device with its keys, as `hesper-gateway enroll` makes them."""

    signer: Signer
    sealing: X25519PrivateKey

    @classmethod
    def born(cls) -> "Device":
        return cls(Signer.generate(), X25519PrivateKey.generate())

    def ask(self, token: Token, gateway: str = "") -> bytes:
        ask = Ask(
            gateway=gateway or token.gateway,
            token_digest=token.digest,
            signing_key=self.signer.public_key,
            sealing_key=self.sealing.public_key().public_bytes_raw(),
        )
        return enrolment.sign_ask(ask, self.signer)

    def read(self, octets: bytes, token: Token) -> tuple[enrolment.Answer, enrolment.Secrets]:
        ask = enrolment.digest_of(self.ask(token))
        answer = enrolment.read_answer(octets, token, ask)
        return answer, enrolment.open_box(answer.box, self.sealing.private_bytes_raw(), ask)


def gateway_toml(head_end: Any, folder: Path, gateway: str = GATEWAY) -> Path:
    """A configuration as an operator has it, with a meter's keys and a template of its own."""
    (folder / "meters").mkdir(parents=True, exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "meters" / "M1.json").write_text(f'{{"encryption_key": "{METER_KEY}"}}')
    (folder / "templates" / "own.toml").write_text('extends = "generic"\n')
    shown = [
        keys.command_signer(head_end.settings.keys),
        keys.receipt_signer(head_end.settings.keys),
    ]
    commands, receipts = (f'"{each.key_id}" = "{each.public_key.hex()}"' for each in shown)
    path = folder / "gateway.toml"
    path.write_text(TOML.format(gateway=gateway, commands=commands, receipts=receipts))
    return path


@pytest.fixture
def kept(head_end: Any, tmp_path: Path) -> Any:
    """A head end that keeps a configuration of the gateway."""
    path = gateway_toml(head_end, tmp_path / "desk")
    keeping.keep(head_end.settings, head_end.databases, GATEWAY, path, head_end.clock.now)
    return head_end


def make_token(head_end: Any, gateway: str = GATEWAY, hours: int = 24) -> Token:
    text = keeping.make_token(
        head_end.settings, head_end.databases, gateway, hours, head_end.clock.now
    )
    return Token.from_text(text)


def enrol(head_end: Any, device: Device, token: Token, ask: bytes = b"") -> Any:
    """What the authority makes of an ask that the web process brings."""
    section = base64.b64encode(ask or device.ask(token)).decode()
    return head_end.ask(
        WHO, "gateway.enrol", gateway=token.gateway, ask=section, password=token.text
    )


def answer_of(head_end: Any, token: Token) -> bytes:
    with reading(head_end.databases.authority) as session:
        return session.get_one(EnrolmentToken, token.digest.hex()).answer


def key_on_record(head_end: Any, gateway: str = GATEWAY) -> str | None:
    with reading(head_end.databases.authority) as session:
        row = session.get(GatewayKey, gateway)
        return row.public_key if row else None


def actions(head_end: Any) -> list[str]:
    with reading(head_end.databases.authority) as session:
        assert audit.verify(session).intact
        return list(session.scalars(select(AuditRow.action).order_by(AuditRow.sequence)))


def test_a_device_gets_its_configuration_and_is_on_record(kept):
    device, token = Device.born(), make_token(kept)
    assert enrol(kept, device, token).state == "done"
    answer, secrets = device.read(answer_of(kept, token), token)
    files = {file.name: file.octets for file in secrets.configuration.files}
    assert sorted(files) == ["gateway.toml", "meters/M1.json", "templates/own.toml"]
    assert METER_KEY in files["meters/M1.json"].decode()
    assert (answer.replaces, answer.version, answer.broker_knows) == (True, 1, False)
    assert key_on_record(kept) == device.signer.public_key.hex()
    assert actions(kept)[-6:] == [
        "gateway.keep", "keys.put",
        "gateway.token", "gateway.enrol", "gateway.key", "gateway.broker_password",
    ]  # fmt: skip
    assert keeping.account_line(kept.databases, GATEWAY).startswith(f"{GATEWAY}:$7$")


def test_a_name_that_nobody_bore_takes_nobodys_place(head_end, tmp_path):
    path = gateway_toml(head_end, tmp_path, "gw-new")
    keeping.keep(head_end.settings, head_end.databases, "gw-new", path, head_end.clock.now)
    device, token = Device.born(), make_token(head_end, "gw-new")
    assert enrol(head_end, device, token).state == "done"
    assert not device.read(answer_of(head_end, token), token)[0].replaces
    again = make_token(head_end, "gw-new")
    assert enrol(head_end, device, again).state == "done"
    assert not device.read(answer_of(head_end, again), again)[0].replaces  # it is itself


def test_a_lost_answer_is_given_again_and_changes_nothing(kept):
    device, token = Device.born(), make_token(kept)
    enrol(kept, device, token)
    first, line = answer_of(kept, token), keeping.account_line(kept.databases, GATEWAY)
    noted = actions(kept)
    assert enrol(kept, device, token).state == "done"
    assert (answer_of(kept, token), keeping.account_line(kept.databases, GATEWAY)) == (first, line)
    assert actions(kept) == noted


def test_a_device_whose_first_answer_was_lost_is_still_told_that_it_replaces_another(kept):
    enrol(kept, Device.born(), make_token(kept))
    new, lost = Device.born(), make_token(kept)
    enrol(kept, new, lost)
    kept.clock.advance(25 * 3600)
    assert refused(kept, new, lost) == NO_TOKEN
    token = make_token(kept)
    assert enrol(kept, new, token).state == "done"
    assert new.read(answer_of(kept, token), token)[0].replaces


def refused(kept: Any, *ask: Any) -> str:
    before = key_on_record(kept)
    row = enrol(kept, *ask)
    assert (row.state, key_on_record(kept)) == ("refused", before)
    return str(row.outcome["reason"])


def test_a_used_token_serves_no_other_device(kept):
    first, token = Device.born(), make_token(kept)
    enrol(kept, first, token)
    assert refused(kept, Device.born(), token) == NO_TOKEN
    same_key = Device(first.signer, X25519PrivateKey.generate())
    assert refused(kept, same_key, token) == NO_TOKEN


def test_an_expired_a_forged_and_a_superseded_token_are_refused(kept):
    first, second = make_token(kept, hours=1), make_token(kept, hours=1)
    assert refused(kept, Device.born(), first) == NO_TOKEN
    assert refused(kept, Device.born(), Token.make(GATEWAY, b"k" * 32)) == NO_TOKEN
    kept.clock.advance(3600)
    assert refused(kept, Device.born(), second) == NO_TOKEN


def test_a_token_is_good_for_its_name_alone(kept):
    token, device = make_token(kept), Device.born()
    ask = device.ask(token, "gw-2")
    assert refused(kept, device, token, ask) == NO_TOKEN
    other = Token("gw-2", token.secret, token.fingerprint)
    assert refused(kept, device, other) == NO_TOKEN
    assert key_on_record(kept, "gw-2") is None


def test_the_digest_in_an_ask_proves_nothing_without_the_token(kept):
    token, device = make_token(kept), Device.born()
    other = Token.make(GATEWAY, b"k" * 32)
    assert refused(kept, device, other, device.ask(token)) == NO_TOKEN
    assert refused(kept, device, token, device.ask(other)) == NO_TOKEN


def test_an_altered_ask_is_refused(kept):
    token, device = make_token(kept), Device.born()
    ask = device.ask(token)
    altered = ask[:-60] + bytes((ask[-60] ^ 1,)) + ask[-59:]
    assert "does not hold" in refused(kept, device, token, altered)
    small = Ask(
        gateway=GATEWAY, token_digest=token.digest, signing_key=device.signer.public_key,
        sealing_key=bytes(32),
    )  # fmt: skip
    section = enrolment.sign_ask(small, device.signer)
    assert "no key to seal to" in refused(kept, device, token, section)
    assert "gateway.key" not in actions(kept)[-2:]
    assert enrol(kept, device, token).state == "done"  # the token is not used up by such tries


def test_the_device_before_is_shut_out(kept):
    old, new = Device.born(), Device.born()
    first = make_token(kept)
    enrol(kept, old, first)
    second = make_token(kept)
    enrol(kept, new, second)
    assert new.read(answer_of(kept, second), second)[0].replaces
    assert refused(kept, old, first) == NO_TOKEN  # not even its own answer again
    kept.ask_reconnect()
    command = kept.published()[0]
    kept.answer(command, "confirmed", output=True, signer=old.signer)
    assert kept.command(command.id).state == "sent"
    kept.answer(command, "confirmed", output=True, signer=new.signer)
    assert kept.command(command.id).state == "confirmed"
    with reading(kept.databases.registry) as session:
        assert list(session.scalars(select(Result.verified).order_by(Result.id))) == [False, True]


def test_what_is_kept_is_locked_and_versions_stay(kept, tmp_path):
    path = gateway_toml(kept, tmp_path / "desk")
    path.write_text(path.read_text().replace("192.0.2.1", "192.0.2.2"))
    version = keeping.keep(kept.settings, kept.databases, GATEWAY, path, kept.clock.now)
    with reading(kept.databases.authority) as session:
        rows = list(session.scalars(select(KeptConfiguration).order_by("version")))
    assert ([row.version for row in rows], version) == ([1, 2], 2)
    for octets in [row.box for row in rows] + [
        file.read_bytes() for file in kept.settings.state.glob("*.db*")
    ]:
        assert METER_KEY.encode() not in octets
        assert b"192.0.2." not in octets
    assert stat.S_IMODE((kept.settings.keys / "vault.key").stat().st_mode) == 0o600
    token, device = make_token(kept), Device.born()
    enrol(kept, device, token)
    found = device.read(answer_of(kept, token), token)[1].configuration.files[0]
    assert b"192.0.2.2" in found.octets


def test_what_is_kept_opens_in_its_place_with_its_master_key_alone():
    vault = Vault.of(bytes(32))
    locked = vault.lock(b"secret", "here")
    assert vault.unlock(locked, "here") == b"secret"
    altered = Locked(locked.wrapped_key, locked.box[:-1] + bytes([locked.box[-1] ^ 1]))
    for other, what, where in (
        (Vault.of(b"k" * 32), locked, "here"),
        (vault, locked, "there"),
        (vault, altered, "here"),
        (vault, Locked(b"", b""), "here"),
    ):
        with pytest.raises(VaultBroken):
            other.unlock(what, where)


def test_without_its_master_key_nothing_is_given_out(kept):
    (kept.settings.keys / "vault.key").unlink()
    kept.start_authority()
    token = make_token(kept)
    assert "master key" in refused(kept, Device.born(), token)
    assert actions(kept)[-1] == "request.refused"


def test_a_mark_of_an_editor_of_windows_is_not_kept(head_end, tmp_path):
    path = gateway_toml(head_end, tmp_path)
    plain = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(BOM_UTF8 + plain)
    assert gateway_files.collect(path, GATEWAY, {}).files[0].octets == plain


def test_a_configuration_that_would_not_come_up_is_not_kept(head_end, tmp_path):
    path = gateway_toml(head_end, tmp_path)
    whole = path.read_text()
    for old, new, complaint in (
        ('gateway = "gw-1"', 'gateway = "gw-2"', "must be"),
        ('username = "gw-1"', 'username = "x"', "username"),
        ('"broker.password"', '"/etc/broker.password"', "password_file"),
        ('"meters/M1.json"', '"../M1.json"', "folder of"),
        ('"meters/M1.json"', '"absent.json"', "absent.json"),
        ("commands =", "others =", "this head end's key"),
        ('host = "broker', 'port = "broker', "host"),
        ("gateway =", "gateway ==", "not TOML"),
        ('line = "a"', 'line = "b"', "meter M1: no line is named 'b'"),
    ):
        path.write_text(whole.replace(old, new))
        with pytest.raises(ProvisioningError, match=complaint) as told:
            keeping.keep(head_end.settings, head_end.databases, GATEWAY, path, head_end.clock.now)
        assert METER_KEY not in str(told.value)
    with pytest.raises(ProvisioningError, match="nothing is kept"):
        make_token(head_end)
    with pytest.raises(ProvisioningError, match="1 to 720 hours"):
        make_token(head_end, hours=0)
    with pytest.raises(ProvisioningError, match="no device"):
        keeping.account_line(head_end.databases, GATEWAY)


def test_the_brokers_file_is_written_once_the_row_is_committed(kept, tmp_path):
    file, told = tmp_path / "passwords", tmp_path / "told"
    accounts = BrokerAccounts(EnrolmentSettings(password_file=file, reload=("touch", str(told))))
    enrol(kept, Device.born(), make_token(kept))
    assert accounts.settle(kept.databases.authority) == 0  # the file is not there: put off
    file.write_text(f"hes.ingest:x\n{GATEWAY}:old\ngw-10:y\n")
    file.chmod(0o640)
    eventually(lambda: accounts.settle(kept.databases.authority) == 1, "the broker is told")
    line = keeping.account_line(kept.databases, GATEWAY)
    assert file.read_text().splitlines() == ["hes.ingest:x", "gw-10:y", line]
    assert (stat.S_IMODE(file.stat().st_mode), told.exists()) == (0o640, True)
    assert accounts.settle(kept.databases.authority) == 0
    with reading(kept.databases.authority) as session:
        assert session.get_one(BrokerAccount, GATEWAY).is_written


def test_a_broker_that_cannot_be_told_is_told_later(kept, tmp_path):
    file = tmp_path / "passwords"
    file.write_text("")
    broken = EnrolmentSettings(password_file=file, reload=("false",))
    enrol(kept, Device.born(), make_token(kept))
    assert BrokerAccounts(broken).settle(kept.databases.authority) == 0
    assert BrokerAccounts(EnrolmentSettings(password_file=file)).settle(kept.databases.authority)


def test_a_broker_that_takes_long_holds_nothing_up_and_what_came_since_is_told_next(kept, tmp_path):
    file, door, read = tmp_path / "passwords", tmp_path / "door", tmp_path / "read"
    file.write_text("")
    os.mkfifo(door)
    waits = ("sh", "-c", f"cat {door} >> {read}")
    accounts = BrokerAccounts(EnrolmentSettings(password_file=file, reload=waits))
    database = kept.databases.authority
    enrol(kept, Device.born(), make_token(kept))
    assert (accounts.settle(database), accounts.problem) == (0, None)
    first = file.read_text()
    enrol(kept, Device.born(), make_token(kept))  # while the broker still reads
    assert (accounts.settle(database), file.read_text()) == (0, first)
    door.write_text("1")
    eventually(lambda: accounts.settle(database) == 1, "the first password")
    with reading(database) as session:
        assert not session.get_one(BrokerAccount, GATEWAY).is_written  # it is another one now
    door_opened = threading.Thread(target=door.write_text, args=("2",))
    door_opened.start()
    eventually(lambda: accounts.settle(database) == 1, "the second password")
    door_opened.join()
    assert (read.read_text(), file.read_text() != first) == ("12", True)


def test_a_broker_that_never_ends_reading_is_told_of_and_tried_again_later(
    kept, tmp_path, monkeypatch
):
    file, door = tmp_path / "passwords", tmp_path / "door"
    file.write_text("")
    os.mkfifo(door)
    monkeypatch.setattr(broker_files, "_RELOAD_S", 0.0)
    accounts = BrokerAccounts(EnrolmentSettings(password_file=file, reload=("cat", str(door))))
    enrol(kept, Device.born(), make_token(kept))
    assert accounts.settle(kept.databases.authority) == 0
    assert "timed out" in str(accounts.problem)


def test_hashes_are_mosquittos_own():
    kind, rounds, salt, key = password_hash("x").removeprefix("$").split("$")
    assert (kind, rounds) == ("7", "101")
    assert (len(base64.b64decode(salt)), len(base64.b64decode(key))) == (12, 64)
    assert password_hash("x") != password_hash("x")


def test_a_file_keeps_its_other_accounts(tmp_path):
    file = tmp_path / "passwords"
    file.write_text("a:1\nb:2")
    write_accounts(file, {"c": "3", "a": "4"})
    assert file.read_text() == "b:2\na:4\nc:3\n"


def test_the_migration_goes_forward_and_back(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'authority.db'}")
    migrate.upgrade(engine, "authority")
    with writing(engine) as session:
        session.add(BrokerAccount(gateway="gw-1", password_hash="x", is_written=False))
    for revision, there in (("0001", False), ("head", True)):
        with engine.begin() as connection:
            go = alembic.upgrade if there else alembic.downgrade
            go(migrate.history("authority", connection), revision)
        tables = inspect(engine).get_table_names()
        assert [name in tables for name in ("enrolment_tokens", "broker_accounts")] == [there] * 2
    engine.dispose()


@pytest.fixture
def services(kept, tmp_path):
    read_only = open_engine(kept.settings.database.authority_url, read_only=True)
    store = DuckDbStore(kept.settings.readings_file)
    sources = Sources(
        kept.settings, kept.databases.registry, read_only, store, LatestValues(), kept.clock
    )
    yield assemble(sources, lambda: 0.0)
    store.close()
    read_only.dispose()


async def test_tries_that_fail_slow_down_the_next_from_there(kept, services):
    nothing = b"not an ask"
    for _ in range(4):
        with pytest.raises(Invalid, match="truncated"):
            await services.enrolments.enrol("x", nothing, "192.0.2.9")
    with pytest.raises(LoginRefused, match="wait"):
        await services.enrolments.enrol("x", nothing, "192.0.2.9")
    kept.clock.now += timedelta(minutes=20)
    with pytest.raises(Invalid, match="truncated"):
        await services.enrolments.enrol("x", nothing, "192.0.2.9")


async def test_over_http_a_stranger_learns_nothing(kept, services):
    app = create_app(services, kept.settings)
    token, device = Token.make(GATEWAY, b"k" * 32), Device.born()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://hesper.test"
    ) as client:
        for body, status in (
            ({}, 422),
            ({"token": token.text, "ask": "!!"}, 400),
            ({"token": token.text, "ask": base64.b64encode(b"nothing").decode()}, 400),
            ({"token": "x", "ask": base64.b64encode(device.ask(token)).decode()}, 400),
        ):
            answer = await client.post("/api/v1/enrolment", json=body)
            assert answer.status_code == status, answer.text
            assert token.text not in answer.text


@pytest.mark.integration
def test_a_connection_with_the_old_password_is_ended(kept, tmp_path, broker_factory):
    file = tmp_path / "passwords"
    file.write_text(f"{GATEWAY}:{password_hash('old')}\n")
    broker = broker_factory(
        f"listener {{port}} 127.0.0.1\nallow_anonymous false\npassword_file {file}\n"
    )
    connected, ended = threading.Event(), threading.Event()
    old = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    old.username_pw_set(GATEWAY, "old")
    old.on_connect = lambda *_: connected.set()
    old.on_disconnect = lambda *_: ended.set()
    old.connect(broker.host, broker.port)
    old.loop_start()
    assert connected.wait(DEADLINE_S)
    enrol(kept, Device.born(), make_token(kept))
    reload = ("kill", "-HUP", str(broker._process.pid))
    told = BrokerAccounts(EnrolmentSettings(password_file=file, reload=reload))
    eventually(lambda: told.settle(kept.databases.authority) == 1, "the broker is told")
    assert ended.wait(DEADLINE_S)
    old.disconnect()
    old.loop_stop()


def test_init_makes_the_master_key_so_that_it_can_be_hidden_from_the_web(head_end: Any) -> None:
    assert stat.S_IMODE((head_end.settings.keys / "vault.key").stat().st_mode) == 0o600
