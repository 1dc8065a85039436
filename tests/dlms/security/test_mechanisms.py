"""Every HLS mechanism in every suite, both sides, and what must be refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.client import AssociationSettings, Authentication
from hesper_dlms.errors import AssociationRejected, LocalError, SecurityError
from hesper_dlms.security import Handshake, PeerKeys, PrivateKey
from hesper_dlms.server import ClientRole

CLIENT, METER = b"CLIENT00", b"METER000"
CTOS, STOC = b"K56iVagY" * 4, b"P6wRJ21F" * 4
WITH_SECRET = [
    Authentication.HIGH,
    Authentication.HIGH_MD5,
    Authentication.HIGH_SHA1,
    Authentication.HIGH_SHA256,
]


def role(security: Any, mechanism: Authentication, **other: Any) -> ClientRole:
    function = security.manufacturer if mechanism is Authentication.HIGH else None
    return ClientRole(mechanism, password=security.SECRET, hls_function=function, **other)


@pytest.mark.parametrize("ciphered", [False, True])
@pytest.mark.parametrize("suite", [0, 1, 2])
@pytest.mark.parametrize("mechanism", list(Authentication))
def test_both_sides(
    bench: Any, security: Any, mechanism: Authentication, suite: int, ciphered: bool
) -> None:
    if mechanism is Authentication.HIGH_ECDSA and not suite:
        pytest.skip("suite 0 has no key pairs")
    pair = security.Pair(bench, security.Keys(suite), role(security, mechanism, ciphered=ciphered))
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
    assert (pair.tags() == (0xC8, 0xCC)) is ciphered
    pair.run(pair.client.release())
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.NAME)).value == b"HSP0012642984000"


def test_without_keys_where_the_mechanism_needs_none(bench: Any, security: Any) -> None:
    for mechanism in WITH_SECRET:
        pair = security.Pair(
            bench, security.Keys(0), role(security, mechanism), security=None, ciphered=False
        )
        pair.meter.__class__.security = None
        pair.run(pair.client.connect())
        assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567


@pytest.mark.parametrize("mechanism", WITH_SECRET)
def test_a_wrong_secret_is_refused(bench: Any, security: Any, mechanism: Authentication) -> None:
    pair = security.Pair(
        bench, security.Keys(0), role(security, mechanism), password=b"another secret"
    )
    with pytest.raises(AssociationRejected) as refused:
        pair.run(pair.client.connect())
    assert refused.value.diagnostic == apdu.aare.AUTHENTICATION_FAILURE
    with pytest.raises(LocalError):
        pair.run(pair.client.get(bench.ENERGY))


def test_a_signature_of_a_stranger_is_refused(bench: Any, security: Any, keys: Any) -> None:
    stranger = PrivateKey.generate(keys.client.suite)
    ecdsa = role(security, Authentication.HIGH_ECDSA)
    pair = security.Pair(bench, keys, ecdsa, security=replace(keys.client, signing_key=stranger))
    with pytest.raises(AssociationRejected):
        pair.run(pair.client.connect())
    expected = replace(keys.client, peer=PeerKeys(stranger.public))
    pair = security.Pair(bench, keys, ecdsa, security=expected)
    with pytest.raises(SecurityError, match="signature"):
        pair.run(pair.client.connect())


def handshakes(mechanism: Authentication, **other: Any) -> tuple[Handshake, Handshake]:
    secret = b"secret"
    client = Handshake(mechanism, CLIENT, METER, CTOS, STOC, secret, **other)
    return client, Handshake(mechanism, METER, CLIENT, STOC, CTOS, secret, **other)


@pytest.mark.parametrize(
    ("mechanism", "of_client", "of_meter"),
    [
        (
            Authentication.HIGH_MD5,
            hashlib.md5(STOC + b"secret", usedforsecurity=False).digest(),
            hashlib.md5(CTOS + b"secret", usedforsecurity=False).digest(),
        ),
        (
            Authentication.HIGH_SHA1,
            hashlib.sha1(STOC + b"secret", usedforsecurity=False).digest(),
            hashlib.sha1(CTOS + b"secret", usedforsecurity=False).digest(),
        ),
        (
            Authentication.HIGH_SHA256,
            hashlib.sha256(b"secret" + CLIENT + METER + STOC + CTOS).digest(),
            hashlib.sha256(b"secret" + METER + CLIENT + CTOS + STOC).digest(),
        ),
    ],
)
def test_what_is_hashed(mechanism: Authentication, of_client: bytes, of_meter: bytes) -> None:
    client, meter = handshakes(mechanism)
    assert client.prove(int) == of_client
    assert meter.prove(int) == of_meter
    meter.check(of_client)
    client.check(of_meter)
    for wrong in (of_meter, of_client[:-1], b"", of_client + b"\x00"):
        with pytest.raises(SecurityError):
            meter.check(wrong)


def test_what_ecdsa_signs(keys: Any) -> None:
    client = Handshake(Authentication.HIGH_ECDSA, CLIENT, METER, CTOS, STOC, settings=keys.client)
    proof = client.prove(int)
    keys.client.signing_key.public.verify(proof, CLIENT + METER + STOC + CTOS)
    signer = keys.client.signing_key.public
    meter = Handshake(Authentication.HIGH_ECDSA, METER, CLIENT, STOC, CTOS, signer=signer)
    meter.check(proof)
    with pytest.raises(SecurityError):
        meter._replace(peer_system_title=b"CLIENT01").check(proof)
    with pytest.raises(SecurityError, match="not known"):
        meter._replace(signer=None).check(proof)
    with pytest.raises(SecurityError):
        meter.check(bytes(len(proof)))


class Reflecting:
    """Answers for a meter, and changes its AARE."""

    def __init__(self, pair: Any, **changes: Any) -> None:
        self.pair = pair
        self.changes = changes

    def __call__(self, octets: bytes) -> bytes:
        answer = bytes(self.pair.connection.receive(octets))
        if answer[8:9] != b"\x61":
            return answer
        changed = apdu.Aare.from_octets(answer[8:])._replace(**self.changes).to_octets()
        return answer[:6] + len(changed).to_bytes(2, "big") + changed


def _another(mechanism: Authentication) -> Authentication:
    md5 = mechanism is Authentication.HIGH_MD5
    return Authentication.HIGH_SHA1 if md5 else Authentication.HIGH_MD5


@pytest.mark.parametrize("mechanism", [*WITH_SECRET, Authentication.HIGH_GMAC])
def test_a_reflected_or_short_challenge_and_another_mechanism(
    bench: Any, security: Any, mechanism: Authentication, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = bytes(range(16))
    monkeypatch.setattr("hesper_dlms.client.challenge.new_challenge", lambda _octets: fixed)
    for changes, reason in (
        ({"authentication_value": fixed}, "reflection"),
        ({"authentication_value": b"1234567"}, "8 to 64"),
        ({"authentication_value": bytes(65)}, "8 to 64"),
        ({"mechanism": _another(mechanism)}, "downgrade"),
        ({"mechanism": Authentication.LOW}, "missing"),
    ):
        pair = security.Pair(bench, security.Keys(0), role(security, mechanism))
        with pytest.raises(SecurityError, match=reason):
            bench.run(pair.client.connect(), Reflecting(pair, **changes))


@pytest.mark.parametrize(("octets", "accepted"), [(31, False), (32, True), (64, True)])
def test_ecdsa_challenges_are_longer(
    bench: Any, security: Any, keys: Any, octets: int, accepted: bool
) -> None:
    ecdsa = role(security, Authentication.HIGH_ECDSA)
    if not accepted:
        with pytest.raises(LocalError, match="32 to 64"):
            security.Pair(bench, keys, ecdsa, challenge_octets=octets)
        return
    pair = security.Pair(bench, keys, ecdsa, challenge_octets=octets)
    pair.run(pair.client.connect())
    assert len(apdu.Aarq.from_octets(pair.seen[0][0]).authentication_value or b"") == octets


@pytest.mark.parametrize("value", [None, b"1234567", bytes(65)])
def test_the_meter_refuses_a_challenge_of_a_wrong_length(
    bench: Any, security: Any, value: bytes | None
) -> None:
    pair = security.Pair(bench, security.Keys(0), role(security, Authentication.HIGH_SHA256))
    initiate = apdu.InitiateRequest().to_octets()
    aarq = apdu.Aarq(1, initiate, 6, value, bench.CLIENT_TITLE).to_octets()
    answer = pair.answer(b"\x00\x01\x00\x01\x00\x01" + len(aarq).to_bytes(2, "big") + aarq)
    aare = apdu.Aare.from_octets(answer[8:])
    assert (aare.result, aare.diagnostic) == (1, apdu.aare.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize("asked", list(Authentication))
@pytest.mark.parametrize("granted", list(Authentication))
def test_only_the_one_mechanism_of_the_role(
    bench: Any, security: Any, granted: Authentication, asked: Authentication
) -> None:
    keys = security.Keys(1)
    pair = security.Pair(
        bench,
        keys,
        role(security, granted),
        authentication=asked,
        password=security.SECRET,
        hls_function=security.manufacturer,
    )
    if granted is asked:
        pair.run(pair.client.connect())
        return
    with pytest.raises(AssociationRejected) as refused:
        pair.run(pair.client.connect())
    none = asked is Authentication.NONE
    expected = apdu.aare.MECHANISM_REQUIRED if none else apdu.aare.MECHANISM_NOT_RECOGNISED
    assert refused.value.diagnostic == expected


def test_services_before_the_proof_are_refused(bench: Any, security: Any) -> None:
    pair = security.Pair(bench, security.Keys(0), role(security, Authentication.HIGH_SHA256))
    initiate = apdu.InitiateRequest().to_octets()
    aarq = apdu.Aarq(1, initiate, 6, bytes(16), bench.CLIENT_TITLE).to_octets()
    for request in (aarq, apdu.GetRequestNormal(0xC1, bench.ENERGY).to_octets()):
        head = b"\x00\x01\x00\x01\x00\x01" + len(request).to_bytes(2, "big")
        answer = pair.answer(head + request)
    assert answer[8] == apdu.error.EXCEPTION_RESPONSE


def test_what_settings_must_have(bench: Any, security: Any) -> None:
    keys = security.Keys(1)
    ecdsa = Authentication.HIGH_ECDSA
    for authentication, other in (
        (Authentication.LOW, {}),
        (Authentication.HIGH, {"password": b"x"}),
        (Authentication.HIGH_MD5, {}),
        (Authentication.HIGH_SHA1, {}),
        (Authentication.HIGH_SHA256, {"password": b"x"}),
        (Authentication.HIGH_SHA256, {"system_title": bytes(8)}),
        (Authentication.HIGH_GMAC, {}),
        (Authentication.HIGH_GMAC, {"security": keys.client, "system_title": bytes(8)}),
        (ecdsa, {"security": keys.shared, "system_title": bytes(8)}),
        (ecdsa, {"security": replace(keys.client, peer=PeerKeys()), "system_title": bytes(8)}),
        (ecdsa, {"security": keys.client, "ciphered": False}),
        (Authentication.HIGH_MD5, {"password": b"x", "challenge_octets": 7}),
    ):
        with pytest.raises(LocalError):
            AssociationSettings(1, 1, authentication, **other)


def test_nothing_secret_is_shown(bench: Any, security: Any, keys: Any) -> None:
    secret = b"Very-Secret-4711"
    handshake = handshakes(Authentication.HIGH_SHA256)[0]
    settings = replace(
        keys.client, dedicated_key=bytes(range(0xA0, 0xA0 + len(keys.client.encryption_key)))
    )
    pair = security.Pair(bench, keys, ClientRole(Authentication.HIGH_ECDSA, password=secret))
    shown = "".join(
        (
            repr(settings),
            repr(handshake._replace(secret=secret)),
            repr(pair.settings),
            repr(pair.meter.clients),
            repr(settings.signing_key),
            str(pair.settings.security),
        )
    ).lower()
    hidden = [
        settings.encryption_key,
        settings.authentication_key,
        settings.master_key,
        settings.broadcast_key,
        settings.dedicated_key,
        secret,
    ]
    numbers = settings.signing_key.loaded().private_numbers().private_value
    assert f"{numbers:x}" not in shown
    assert str(numbers) not in shown
    for each in hidden:
        assert each.hex() not in shown
        assert repr(each)[2:-1].lower() not in shown
    assert axdr.encode(axdr.octet_string(secret)).hex() not in shown
