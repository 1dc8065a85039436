"""A meter with keys of every suite, and clients that fit each of its roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms.client import AssociationSettings, Authentication, Client
from hesper_dlms.security import (
    AUTHENTICATED_ENCRYPTION,
    PeerKeys,
    PrivateKey,
    SecuritySettings,
)
from hesper_dlms.server import ClientRole, LogicalServer, ServerConnection, WrapperServerLink

SECRET = b"a secret for HLS"
_OCTETS = {0: 16, 1: 16, 2: 32}


def manufacturer(secret: bytes, challenge: bytes) -> bytes:
    """A stand-in for a manufacturer's own mechanism."""
    return bytes(reversed(challenge + secret))


class Keys:
    """Both sides' keys of one suite."""

    def __init__(self, suite: int) -> None:
        size = _OCTETS[suite]
        self.shared = SecuritySettings(
            suite,
            bytes(range(size)),
            bytes(range(0x40, 0x40 + size)),
            broadcast_key=bytes(range(0x60, 0x60 + size)),
            master_key=bytes(range(0x80, 0x80 + size)),
        )
        self.client = self.meter = self.shared
        if suite:
            pairs = [PrivateKey.generate(suite) for _ in range(4)]
            ours = {"signing_key": pairs[0], "agreement_key": pairs[1]}
            theirs = {"signing_key": pairs[2], "agreement_key": pairs[3]}
            of_client = PeerKeys(pairs[0].public, pairs[1].public)
            of_meter = PeerKeys(pairs[2].public, pairs[3].public)
            self.client = replace(self.shared, peer=of_meter, **ours)
            self.meter = replace(self.shared, peer=of_client, **theirs)


class Pair:
    """A client and a meter, in memory, and what went between them."""

    def __init__(self, bench: Any, keys: Keys, role: ClientRole, **other: Any) -> None:
        class Meter(bench.Meter):  # type: ignore[misc, name-defined]
            security = keys.meter
            clients: Mapping[int, ClientRole] = {1: role}

        self.bench = bench
        self.meter = Meter()
        self.server = LogicalServer(self.meter)
        settings: dict[str, Any] = {
            "authentication": role.authentication,
            "password": role.password or None,
            "system_title": bench.CLIENT_TITLE,
            "security": keys.client,
            "ciphered": role.ciphered,
            "invocation_counter": bench.Counter(),
            "meter_system_title": bench.METER_TITLE,
            "hls_function": role.hls_function,
        }
        self.settings = AssociationSettings(1, 1, **{**settings, **other})
        self.client = Client(self.settings.over_wrapper(), self.settings)
        self.connection = ServerConnection(self.server, WrapperServerLink(1))
        self.seen: list[tuple[bytes, bytes]] = []

    def run(self, exchange: Any) -> Any:
        return self.bench.run(exchange, self.answer)

    def answer(self, octets: bytes) -> bytes:
        """Hand octets to the meter; remember the APDUs of both ways."""
        answer = self.connection.receive(octets)
        self.seen.append((octets[8:], answer[8:]))
        return answer

    def tags(self) -> tuple[int, int]:
        """The first octets of the last request and its answer."""
        asked, answered = self.seen[-1]
        return asked[0], answered[0]


class SecurityBench:
    """What the tests of this folder share, as one fixture."""

    Keys = Keys
    Pair = Pair
    SECRET = SECRET
    manufacturer = staticmethod(manufacturer)
    CIPHERED = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
    POLICY = AUTHENTICATED_ENCRYPTION


@pytest.fixture(scope="session")
def security() -> type[SecurityBench]:
    """Keys, pairs of client and meter."""
    return SecurityBench


@pytest.fixture(scope="session", params=[1, 2])
def keys(request: pytest.FixtureRequest) -> Keys:
    """Keys of the suites that have key pairs."""
    return Keys(int(request.param))
