"""Fields that are secret are never in a database as they are, whatever kind of secret they are."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_cloud import keys
from hesper_cloud.app import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.cli import app as cli
from hesper_cloud.db.engines import open_engine
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts.signing import Signer
from sqlalchemy import MetaData, create_engine, select
from typer.testing import CliRunner

METER = "HES12642984"
PASSWORD = "keeper-of-the-house"
METER_KEY = "00112233445566778899AABBCCDDEEFF"
CONFIGURATION_SECRET = "broker-password-of-the-gateway"
MAIL_PASSWORD = "password of the mail server"


@pytest.fixture
async def client(head_end: Any, deciding: None) -> AsyncIterator[httpx.AsyncClient]:
    settings = head_end.settings
    head_end.clock.now = now_utc()
    store = DuckDbStore(settings.readings_file)
    authority = open_engine(settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    sources = Sources(settings, registry, authority, store, LatestValues(), now_utc)
    services: Services = assemble(sources, lambda: 0.0)
    transport = httpx.ASGITransport(create_app(services, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client
    services.energy.close()
    store.close()
    authority.dispose()


def on_the_machine(head_end: Any, folder: Path) -> None:
    """Keys of a meter, and a gateway's configuration with a password."""
    config = folder / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')
    shipment = folder / "shipment.csv"
    shipment.write_text(f"serial,encryption_key\n{METER},{METER_KEY}\n")
    (folder / "broker.password").write_text(CONFIGURATION_SECRET)
    (folder / "broker.password").chmod(0o600)
    (folder / "gateway.toml").write_text(
        'gateway = "gw-1"\n[broker]\nhost = "b"\nusername = "gw-1"\n'
        'password_file = "broker.password"\n[keys]\n'
        f"commands = {{{_named(keys.command_signer(head_end.settings.keys))}}}\n"
        f"receipts = {{{_named(keys.receipt_signer(head_end.settings.keys))}}}\n"
    )
    for words in (
        ["keys", "import", str(shipment)],
        ["gateway", "keep", "gw-1", str(folder / "gateway.toml")],
    ):
        done = CliRunner().invoke(cli, [*words, "--config", str(config)])
        assert done.exit_code == 0, done.output


def _named(signer: Signer) -> str:
    return f'"{signer.key_id}" = "{signer.public_key.hex()}"'


async def by_rest(client: httpx.AsyncClient) -> list[str]:
    """A session, a second factor, the secrets of delivery targets; returns them all."""
    said = await client.post("/api/v1/auth/login", json={"username": "cleo", "password": PASSWORD})
    session = client.cookies.get("hesper_session")
    client.cookies.clear()
    headers = {"Authorization": f"Bearer {said.json()['token']}", "Idempotency-Key": "k1"}
    webhook = {"kind": "webhook", "url": "https://hooks.example.com/x"}
    made = await client.post(
        "/api/v1/delivery/targets", json={"name": "hook", "config": webhook}, headers=headers
    )
    assert made.status_code == 201, made.text
    mail = {
        "kind": "email", "host": "mail.example.com", "port": 587, "security": "starttls",
        "username": "hesper", "sender": "hesper@example.com", "recipients": ["shift@example.com"],
    }  # fmt: skip
    mailed = await client.post(
        "/api/v1/delivery/targets",
        json={"name": "mail", "config": mail, "secret": MAIL_PASSWORD},
        headers=headers | {"Idempotency-Key": "k2"},
    )
    assert mailed.status_code == 201, mailed.text
    factor = await client.post(
        "/api/v1/auth/factor/new",
        json={"password": PASSWORD},
        headers=headers | {"Idempotency-Key": "k3"},
    )
    assert factor.status_code < 300, factor.text
    shown = factor.json()
    return [session, said.json()["token"], made.json()["secret"], shown["secret"],
            *shown["recovery_codes"]]  # fmt: skip


async def test_no_secret_lies_open_in_a_database(
    head_end: Any, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    on_the_machine(head_end, tmp_path)
    secrets = [
        *(await by_rest(client)),
        PASSWORD,
        METER_KEY,
        METER_KEY.lower(),
        CONFIGURATION_SECRET,
        MAIL_PASSWORD,
    ]
    assert all(len(secret) > 6 for secret in secrets)
    everything = b""
    for url in (head_end.settings.database.url, head_end.settings.database.authority_url):
        engine = create_engine(url)
        metadata = MetaData()
        metadata.reflect(engine)
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                for row in connection.execute(select(table)):
                    for value in row:
                        raw = value if isinstance(value, bytes) else json.dumps(value, default=str)
                        everything += raw if isinstance(raw, bytes) else raw.encode()
        engine.dispose()
    assert b"hook" in everything
    for secret in secrets:
        assert secret.encode() not in everything, secret
    assert bytes.fromhex(METER_KEY) not in everything


def test_key_files_and_state_are_the_owners_alone(head_end: Any) -> None:
    state = head_end.settings.state
    for path in (state / "keys").glob("*.key"):
        assert path.stat().st_mode & 0o077 == 0, path.name
