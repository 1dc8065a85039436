"""The broker's password is changed while the agent runs; the uplink follows its file."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.status import GatewayStatus, Presence
from hesper_contracts.topics import Topics
from hesper_gateway.broker_link import Account
from hesper_gateway.errors import Hop
from hesper_gateway.outbox import Outbox
from hesper_gateway.secrets_files import load_password
from hesper_gateway.uplink import Ears, Identity, Pace, Uplink

GATEWAY = "gw-1"
POLL_S = 0.01


def presence(state: Presence) -> GatewayStatus:
    now = datetime.now(UTC)
    return GatewayStatus(gateway=GATEWAY, boot_id="b", state=state, sent_at=now, started_at=now)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """The broker's password file, where the account's password is ``second``."""
    if not (maker := shutil.which("mosquitto_passwd")):
        pytest.skip("mosquitto_passwd is not installed")
    file = tmp_path / "passwords"
    file.touch(mode=0o600)
    subprocess.run([maker, "-b", file, GATEWAY, "second"], check=True)
    return file


async def test_a_password_that_was_changed_counts_without_a_restart(
    outbox: Outbox, broker_factory: Callable[..., Any], known: Path, tmp_path: Path
) -> None:
    guarded = broker_factory(
        f"listener {{port}} 127.0.0.1\nallow_anonymous false\npassword_file {known}\n"
    )
    ours = tmp_path / "broker.password"
    ours.touch(mode=0o600)
    ears = Ears(presence, lambda *_: None)
    uplink = Uplink(
        Account("127.0.0.1", guarded.port, GATEWAY, GATEWAY, partial(load_password, ours)),
        Identity(GATEWAY, Topics(), Keyring.of(Signer.generate().public_key)),
        outbox,
        ears,
        Pace(first_reconnect_s=0.02, last_reconnect_s=0.1),
    )
    running = asyncio.create_task(uplink.run())
    async with asyncio.timeout(60):
        for wrong in ("", "first\n"):  # while it is written, and what counted before
            ours.write_text(wrong)
            before = ears.failures[Hop.BROKER]
            while ears.failures[Hop.BROKER] < before + 2:  # noqa: ASYNC110 - a count has no event
                await asyncio.sleep(POLL_S)
        ours.write_text("second\n")
        await uplink.connected.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
