"""What a real broker makes of each certificate that was tried, and of a revocation."""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import certificates
from hesper_cloud.authority.evictions import Evictions
from hesper_cloud.authority.revocations import Revocations
from hesper_cloud.ca import custody, profile
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.ca.profile import Issuer
from hesper_cloud.certificates import Desk
from hesper_cloud.settings import BrokerSettings, CertificateSettings
from hesper_lab.ports import free_port
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from signing import GATEWAY, MONTH, OTHER, PATIENCE_S, POLL_S, give, leaf, request

LISTENERS = """\
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
listener {{port}} 127.0.0.1
listener {secure} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/localhost.pem
keyfile {folder}/localhost.key
crlfile {folder}/revoked.pem
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
"""


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in time"
        time.sleep(POLL_S)


class Guarded:
    """A broker that lets gateways in by certificate alone, and the head end that signs them."""

    def __init__(self, desk: Desk, folder: Path, make_broker: Callable[..., Any]) -> None:
        self.desk = Desk(desk.settings, desk.databases, datetime.now(UTC))
        self.folder, self.opened = folder, ExitStack()
        self.port = free_port()
        (folder / "acl").write_text("user hes.authority\npattern readwrite hesper/v1/%u/#\n")
        (folder / "passwords").write_text("hes.authority:authority\n")
        subprocess.run(["mosquitto_passwd", "-U", folder / "passwords"], check=True)
        (folder / "password").write_text("authority")
        (folder / "ca.pem").write_bytes(custody.pem(*custody.load_chain(desk.settings.keys)))
        certificates.server(self.desk, ["localhost"], folder)
        self.issuer = custody.load(desk.settings.keys)
        assert self.issuer is not None
        (folder / "revoked.pem").write_bytes(certificates.write_list(self.desk))
        self.broker = make_broker(LISTENERS.format(folder=folder, secure=self.port))
        account = {"username": "hes.authority", "password_file": folder / "password"}
        broker = BrokerSettings.model_validate({"port": self.broker.port, "authority": account})
        reload = ("kill", "-HUP", str(self.broker._process.pid))
        settings = CertificateSettings(list_file=folder / "revoked.pem")
        chain = custody.load_chain(desk.settings.keys)
        self.revocations = Revocations(
            Issuing(self.issuer, chain, settings), reload, Evictions(broker)
        )

    def given(self, gateway: str) -> Path:
        """Key and certificate of a gateway, one file."""
        key = profile.fresh_key()
        pem = give(self.desk, request(gateway, key), gateway)
        assert pem is not None
        return self.file(gateway, key, pem)

    def file(self, name: str, key: Any, pem: bytes) -> Path:
        path = self.folder / f"{name}-{profile.fresh_key().private_numbers().private_value:x}.pem"
        path.write_bytes(custody.private_pem(key) + pem)
        return path

    def context(self, shown: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if shown is not None:
            context.load_cert_chain(shown)
        return context

    def client(self, shown: Path | None, client_id: str = "") -> mqtt.Client:
        """Somebody who tries to come in, and stays as long as the broker lets it."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
        client.tls_set_context(self.context(shown))
        client.connect("localhost", self.port)
        client.loop_start()
        return client

    def lets_in(self, shown: Path | None) -> bool:
        """Whether the broker lets somebody in; what it logs says when it has decided."""
        log = self.broker.log_path
        before = len(log.read_text())
        decided: list[bool] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.tls_set_context(self.context(shown))
        client.on_connect = lambda *told: decided.append(not told[3].is_failure)
        try:
            client.connect("localhost", self.port)
        except OSError:
            return False
        client.loop_start()
        until(lambda: decided or "OpenSSL Error" in log.read_text()[before:], "decided")
        client.disconnect()
        client.loop_stop()
        return decided == [True]

    def settle(self) -> None:
        self.revocations.settle(self.desk.databases.authority, self.desk.now)

    def revoke(self, gateway: str) -> None:
        certificates.shut_out(self.desk, gateway, "stolen")
        self.settle()


@pytest.fixture
def guarded(desk: Desk, tmp_path: Path, broker_factory: Callable[..., Any]) -> Iterator[Guarded]:
    guarded = Guarded(desk, tmp_path, broker_factory)
    with guarded.opened:
        yield guarded


def made_by(guarded: Guarded, issuer: Issuer, life: tuple[datetime, datetime]) -> Path:
    key = profile.fresh_key()
    made = issuer.for_gateway(key.public_key(), GATEWAY, "", life)
    return guarded.file("tried", key, custody.pem(made))


def test_the_broker_lets_in_who_was_signed_for_and_nobody_else(guarded: Guarded) -> None:
    now = guarded.desk.now
    assert guarded.issuer is not None
    assert guarded.lets_in(guarded.given(GATEWAY))
    assert not guarded.lets_in(None)
    stranger = profile.fresh_key()
    same_name = profile.authority_certificate(stranger, "Hesper", now)
    assert not guarded.lets_in(made_by(guarded, Issuer(same_name, stranger), (now, now + MONTH)))
    own = profile.authority_certificate(stranger, GATEWAY, now)
    assert not guarded.lets_in(guarded.file("self-made", stranger, custody.pem(own)))
    assert not guarded.lets_in(made_by(guarded, guarded.issuer, (now - MONTH, now - MONTH / 2)))
    assert not guarded.lets_in(made_by(guarded, guarded.issuer, (now + MONTH, now + 2 * MONTH)))
    server = guarded.folder / "both.pem"
    parts = [(guarded.folder / f"localhost.{end}").read_bytes() for end in ("key", "pem")]
    server.write_bytes(b"".join(parts))
    assert not guarded.lets_in(server)
    key = profile.fresh_key()  # a gateway's certificate signs for nobody
    below = give(guarded.desk, request(GATEWAY, key))
    assert below is not None
    life = now, now + MONTH
    forged = Issuer(leaf(below), key).for_gateway(stranger.public_key(), OTHER, "", life)
    assert not guarded.lets_in(guarded.file("below", stranger, custody.pem(forged) + below))


def test_who_is_revoked_is_out_at_once_and_the_others_stay(guarded: Guarded) -> None:
    shown = {gateway: guarded.given(gateway) for gateway in (GATEWAY, OTHER)}
    thief, other = (guarded.client(shown[each], "any name") for each in (GATEWAY, OTHER))
    until(lambda: thief.is_connected() and other.is_connected(), "both are in")
    cut: list[Any] = []
    other.on_disconnect = lambda *told: cut.append(told)
    began = time.monotonic()
    guarded.revoke(GATEWAY)
    until(lambda: not guarded.settle() and not thief.is_connected(), "the live session ends")
    assert time.monotonic() - began < PATIENCE_S
    assert not guarded.lets_in(shown[GATEWAY])
    assert (cut, other.is_connected()) == ([], True)
    for client in (thief, other):
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_was_shaken_before_a_revocation_serves_nobody(
    guarded: Guarded, version: ssl.TLSVersion
) -> None:
    shown = guarded.given(GATEWAY)
    context = guarded.context(shown)
    context.minimum_version = context.maximum_version = version
    resumable = said(guarded, context)
    assert resumable.recv(100)[:1] == CONNACK
    session = resumable.session
    waiting = shaken(guarded, context)
    guarded.revoke(GATEWAY)
    until(lambda: not guarded.lets_in(shown), "the list is read")
    try:
        again = said(guarded, context, session)
        assert again.recv(100)[:1] != CONNACK, "a resumed session came in"
    except OSError:
        pass
    waiting.sendall(CONNECT)  # the certificate was good when hands were shaken
    until(lambda: not guarded.settle() and is_closed(waiting), "who waited is thrown out as well")


CONNECT, CONNACK = bytes.fromhex("100d00044d5154540502003c000000"), b"\x20"


def shaken(
    guarded: Guarded, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """A connection on which hands are shaken and nothing is said yet."""
    plain = guarded.opened.enter_context(
        socket.create_connection(("localhost", guarded.port), PATIENCE_S)
    )
    made = context.wrap_socket(plain, server_hostname="localhost", session=session)
    return guarded.opened.enter_context(made)


def said(
    guarded: Guarded, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """Such a connection that has said who it is."""
    connection = shaken(guarded, context, session)
    connection.sendall(CONNECT)
    return connection


def is_closed(connection: ssl.SSLSocket) -> bool:
    connection.settimeout(POLL_S)
    try:
        return connection.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_newer_list_counts_also_when_the_clock_was_set_back(guarded: Guarded) -> None:
    for gateway in (GATEWAY, OTHER):
        shown = guarded.given(gateway)
        assert guarded.lets_in(shown)
        guarded.desk = replace(guarded.desk, now=guarded.desk.now - timedelta(seconds=5))
        guarded.revoke(gateway)
        until(lambda shown=shown: not guarded.lets_in(shown), "the newest list counts")
