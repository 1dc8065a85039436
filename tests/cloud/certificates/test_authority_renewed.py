"""The authority's certificate comes to its end: gateways are given the next one before."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.ca import custody, profile
from hesper_cloud.ca.profile import Issuer
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.status import GatewayStatus, Presence
from hesper_contracts.topics import Topics
from hesper_gateway.broker_link import Account
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox
from hesper_gateway.uplink import Ears, Identity, Pace, Uplink

pytestmark = pytest.mark.integration
NOW = datetime.now(UTC)
A_DAY = timedelta(days=1)
ENDING = NOW - profile.AUTHORITY_LIFE + A_DAY
OVER = NOW - profile.AUTHORITY_LIFE - A_DAY
TLS = """\
listener {{port}} 127.0.0.1
allow_anonymous true
certfile {folder}/broker.pem
keyfile {folder}/broker.key
"""


def presence(state: Presence) -> GatewayStatus:
    return GatewayStatus(gateway="gw-1", boot_id="b", state=state, sent_at=NOW, started_at=NOW)


def wear(issuer: Issuer, folder: Path) -> None:
    """Lays a certificate of this authority where the broker finds it at its next start."""
    key = profile.fresh_key()
    shown = issuer.for_server(key.public_key(), ["127.0.0.1"], NOW)
    (folder / "broker.key").write_bytes(custody.private_pem(key))
    (folder / "broker.pem").write_bytes(custody.pem(shown))


@asynccontextmanager
async def uplink_to(port: int, trusted: Path, folder: Path) -> AsyncIterator[Uplink]:
    database = Database(folder / "gateway.db", ballast_octets=0)
    uplink = Uplink(
        Account("127.0.0.1", port, "gw-1", tls_ca=trusted),
        Identity("gw-1", Topics(), Keyring.of(Signer.generate().public_key)),
        Outbox(database, Signer.generate()),
        Ears(presence, lambda *_: None),
        Pace(first_reconnect_s=0.02, last_reconnect_s=0.1),
    )
    running = asyncio.create_task(uplink.run())
    try:
        async with asyncio.timeout(60):
            await uplink.connected.wait()
            yield uplink
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        database.close()


@pytest.mark.parametrize("is_new_first", [False, True])
@pytest.mark.parametrize("same_key", [True, False])
async def test_a_file_with_both_outlasts_the_old_one(
    tmp_path: Path, broker_factory: Callable[..., Any], same_key: bool, is_new_first: bool
) -> None:
    key = profile.fresh_key()
    old = profile.authority_certificate(key, "Hesper", OVER)
    new_key = key if same_key else profile.fresh_key()
    new = profile.authority_certificate(new_key, "Hesper", NOW)
    wear(Issuer(new, new_key), tmp_path)
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(custody.pem(new, old) if is_new_first else custody.pem(old, new))
    broker = broker_factory(TLS.format(folder=tmp_path))
    async with uplink_to(broker.port, trusted, tmp_path):
        pass


async def test_a_file_that_is_replaced_counts_from_the_next_connection_on(
    tmp_path: Path, broker_factory: Callable[..., Any]
) -> None:
    old_key, new_key = profile.fresh_key(), profile.fresh_key()
    old = profile.authority_certificate(old_key, "Hesper", ENDING)
    new = profile.authority_certificate(new_key, "Hesper", NOW)
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(custody.pem(old))
    wear(Issuer(old, old_key), tmp_path)
    broker = broker_factory(TLS.format(folder=tmp_path))
    async with uplink_to(broker.port, trusted, tmp_path) as uplink:
        broker.stop()
        wear(Issuer(new, new_key), tmp_path)
        trusted.write_bytes(custody.pem(old, new))
        while uplink.connected.is_set():  # noqa: ASYNC110 - nothing tells that it was lost
            await asyncio.sleep(0.01)
        broker.start()
        await uplink.connected.wait()
