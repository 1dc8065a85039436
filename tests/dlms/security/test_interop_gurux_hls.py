"""Our meter against the client of gurux_dlms by the other HLS mechanisms, in a process of its own.

It signs on P-256 alone (its P-384 is broken) and sends challenges of 16 octets with ECDSA, which
the standard forbids: a role says `shortest_challenge` where such clients are to be let in.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms.association import Authentication
from hesper_dlms.security import PrivateKey
from hesper_dlms.server import ClientRole, LogicalServer

MECHANISMS = {
    "md5": Authentication.HIGH_MD5,
    "sha1": Authentication.HIGH_SHA1,
    "sha256": Authentication.HIGH_SHA256,
    "ecdsa": Authentication.HIGH_ECDSA,
}


Process = subprocess.CompletedProcess[str]


@pytest.fixture
def gurux(
    bench: Any,
    security: Any,
    tcp_meter: Callable[..., Any],
    gurux_process: Callable[..., Process],
) -> Callable[..., Process]:
    """Runs it against a meter whose role takes the mechanism: `gurux("md5", password=…)`."""

    def run(mechanism: str, **other: Any) -> Process:
        keys = security.Keys(1)
        signing = PrivateKey.generate(1)
        role = ClientRole(MECHANISMS[mechanism], password=security.SECRET, **other.pop("role", {}))
        scalar = signing.loaded().private_numbers().private_value.to_bytes(32, "big")
        settings = replace(keys.meter, peer=keys.meter.peer._replace(signing=signing.public))

        class Meter(bench.Meter):  # type: ignore[misc, name-defined]
            security = settings
            clients: Mapping[int, ClientRole] = {1: role}

        options = {
            "port": tcp_meter(LogicalServer(Meter())).port,
            "link": "wrapper",
            "client": 1,
            "server": 1,
            "authentication": mechanism,
            "password": security.SECRET.decode(),
            "system_title": bench.CLIENT_TITLE.hex(),
            "suite": 1,
            "signing_key": scalar.hex(),
            "meter_signing_key": "04" + settings.signing_key.public.octets.hex(),
        }
        return gurux_process("gurux_client", **{**options, **other})

    return run


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_gurux_proves_itself_and_believes_our_proof(
    gurux: Callable[..., Process], mechanism: str
) -> None:
    done = gurux(mechanism, challenge=bytes(range(32)).hex())
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
    assert json.loads(done.stdout.splitlines()[-1])["energy"] == 1234567


@pytest.mark.parametrize("mechanism", ["md5", "sha1", "sha256"])
def test_gurux_with_a_wrong_secret(gurux: Callable[..., Process], mechanism: str) -> None:
    assert gurux(mechanism, password="another secret").returncode != 0


def test_gurux_with_the_short_challenge_that_it_sends(gurux: Callable[..., Process]) -> None:
    assert gurux("ecdsa").returncode != 0
    done = gurux("ecdsa", role={"shortest_challenge": 16})
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
