"""Passwords and the broker's authority change while a role runs; it follows its files."""

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.ca import custody, profile
from hesper_cloud.ingest.consumer import Connection, Consumer
from hesper_cloud.settings import BrokerAccount
from patience import eventually

GUARDED = "listener {{port}} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
SECURE = (
    "listener {{port}} 127.0.0.1\nallow_anonymous true\n"
    "cafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n"
)


@pytest.fixture
def consuming() -> Iterator[Callable[..., Consumer]]:
    """Starts consumers that are stopped with the test."""
    started: list[Consumer] = []

    def start(host: str, port: int, **more: Any) -> Consumer:
        started.append(Consumer(Connection(host, port, "hesper/v1", **more), lambda *_: None))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


class Guarded:
    """A broker with one account, and the file in which the head end has its password."""

    def __init__(self, folder: Path, make_broker: Callable[..., Any]) -> None:
        self._passwords = folder / "passwords"
        self.file = folder / "ingest.password"
        self.account = BrokerAccount(username="hes.ingest", password_file=self.file)
        self.file.write_text("first")
        self.learns("first")
        self.broker = make_broker(GUARDED.format(passwords=self._passwords))

    def learns(self, password: str) -> None:
        self._passwords.write_text(f"hes.ingest:{password}\n")
        self._passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", self._passwords], check=True)


@pytest.fixture
def guarded(tmp_path: Path, broker_factory: Callable[..., Any]) -> Guarded:
    return Guarded(tmp_path, broker_factory)


def test_a_password_that_was_changed_counts_without_a_restart(
    guarded: Guarded, consuming: Callable[..., Consumer], caplog: pytest.LogCaptureFixture
) -> None:
    consumer = consuming("127.0.0.1", guarded.broker.port, account=guarded.account)
    eventually(consumer.announced.is_set, "it is in by the first password")
    guarded.learns("second")
    guarded.broker.restart()
    eventually(lambda: any("Not authorized" in each for each in caplog.messages), "refused")
    guarded.file.write_text("second\n")
    eventually(consumer.announced.is_set, "it is in by the second password")


def test_a_password_file_that_is_away_for_a_moment_is_waited_for(
    guarded: Guarded, consuming: Callable[..., Consumer], caplog: pytest.LogCaptureFixture
) -> None:
    consumer = consuming("127.0.0.1", guarded.broker.port, account=guarded.account)
    eventually(consumer.announced.is_set, "it is in")
    away = guarded.file.rename(guarded.file.with_suffix(".away"))
    guarded.broker.restart()
    eventually(lambda: any(str(guarded.file) in each for each in caplog.messages), "told")
    guarded.file.write_bytes(b"\xff\xfe")
    eventually(lambda: any("is not UTF-8" in each for each in caplog.messages), "told, too")
    away.rename(guarded.file)
    eventually(consumer.announced.is_set, "it is in again")


def authority_of(folder: Path, name: str) -> None:
    """Gives a broker the certificate of a new authority, whose own is ``ca.pem``."""
    now, own, key = datetime.now(UTC), profile.fresh_key(), profile.fresh_key()
    authority = profile.authority_certificate(own, name, now)
    signed = profile.Issuer(authority, own).for_server(key.public_key(), ["localhost"], now)
    for file, octets in (
        ("ca.pem", custody.pem(authority)),
        ("broker.pem", custody.pem(signed)),
        ("broker.key", custody.private_pem(key)),
    ):
        (folder / file).write_bytes(octets)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of paho's socket
def test_the_authority_of_another_broker_counts_without_a_restart_and_the_former_does_not(
    tmp_path: Path,
    broker_factory: Callable[..., Any],
    consuming: Callable[..., Consumer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    trusted, former = tmp_path / "trusted.pem", tmp_path / "former.pem"
    authority_of(tmp_path, "first")
    trusted.write_bytes((tmp_path / "ca.pem").read_bytes())
    os.link(trusted, former)
    broker = broker_factory(SECURE.format(folder=tmp_path))
    consumer = consuming("localhost", broker.port, tls_ca=trusted)
    eventually(consumer.announced.is_set, "it is in")
    trusted.unlink()
    trusted.write_bytes(b"")
    authority_of(tmp_path, "second")
    broker.restart()
    eventually(lambda: any("compare tls_ca" in each for each in caplog.messages), "told")
    trusted.write_bytes((tmp_path / "ca.pem").read_bytes())
    eventually(consumer.announced.is_set, "it is in at the second broker")
    caplog.clear()
    trusted.write_bytes(former.read_bytes())
    broker.restart()
    eventually(lambda: any("compare tls_ca" in each for each in caplog.messages), "not believed")
