"""What a stranger, an odd peer or a careless setting might do to keys, counters and memory."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.association import Authentication
from hesper_dlms.client import Client
from hesper_dlms.client.challenge import refuse_request
from hesper_dlms.errors import (
    AssociationRejected,
    LocalError,
    SecurityError,
    ServiceError,
)
from hesper_dlms.security import (
    AUTHENTICATED,
    ENCRYPTED,
    Form,
    KeyEstablishment,
    Protection,
    SecurityContext,
    Signature,
)
from hesper_dlms.security.gcm import GcmKey
from hesper_dlms.security.sealing import Way
from hesper_dlms.server import ClientRole, LogicalServer
from hesper_dlms.server.connection import Sessions, WrapperConnection
from hesper_dlms.server.session import Session
from hesper_dlms.wrapper import wrap

CLIENT, METER = b"CLIENT00", b"METER000"
GMAC = ClientRole(Authentication.HIGH_GMAC)
CIPHERED = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
RELAY_OPENS = apdu.ActionRequestNormal(0xC1, apdu.CosemMethod(70, bytes(6), 1)).to_octets()
PUSH = apdu.DataNotification(1, b"", axdr.encode(axdr.structure(axdr.unsigned(5)))).to_octets()


@pytest.mark.parametrize("mechanism", [Authentication.HIGH_GMAC, Authentication.HIGH_SHA256])
def test_a_stranger_who_has_our_own_proofs_made_for_it(
    bench: Any, security: Any, mechanism: Authentication
) -> None:
    """Two associations of one client; a proof asked for in one is shown in the other.

    It fits where the stranger calls itself as the client does.
    """
    keys = security.Keys(0)
    role = ClientRole(mechanism, password=security.SECRET)
    counter = bench.Counter()
    clients = []
    for _ in range(2):
        pair = security.Pair(bench, keys, role, meter_system_title=None, invocation_counter=counter)
        clients.append(pair.client.connect())
    challenges = []
    for exchange in clients:
        asked = apdu.parse(next(exchange)[8:] or exchange.send(b"")[8:])
        assert isinstance(asked, apdu.Aarq)
        challenges.append(asked.authentication_value)
    granted = apdu.InitiateResponse(apdu.LOGICAL_NAME_SERVICES, 500).to_octets()
    for exchange, challenge in zip(clients, reversed(challenges), strict=True):
        forged = apdu.Aare(1, 0, 14, granted, mechanism, challenge, bench.CLIENT_TITLE)
        with pytest.raises(SecurityError, match="our own system title"):
            exchange.send(wrap(1, 1, forged.to_octets()))


def test_a_client_that_calls_itself_as_the_meter_does(bench: Any, security: Any) -> None:
    pair = security.Pair(bench, security.Keys(0), CIPHERED, system_title=bench.METER_TITLE)
    with pytest.raises(AssociationRejected):
        pair.run(pair.client.connect())


@pytest.mark.parametrize("title", [b"SEVEN00", b"NINE00000"])
def test_a_title_of_another_length_is_the_meters_fault(
    bench: Any, security: Any, title: bytes
) -> None:
    class Odd(security.Pair):  # type: ignore[misc, name-defined]
        def answer(self, octets: bytes) -> bytes:
            answered = apdu.parse(super().answer(octets)[8:])
            if isinstance(answered, apdu.Aare):
                answered = answered._replace(system_title=title)
            return wrap(1, 1, answered.to_octets())

    pair = Odd(bench, security.Keys(0), GMAC, meter_system_title=None)
    with pytest.raises(SecurityError, match="8 octets"):
        pair.run(pair.client.connect())


def test_the_last_counter_of_all_was_taken(bench: Any, security: Any) -> None:
    pair = security.Pair(bench, security.Keys(0), CIPHERED)
    pair.run(pair.client.connect())
    for name in pair.server.received_counters:
        pair.server.received_counters[name] = 0xFFFFFFFF
    with pytest.raises(ServiceError):
        pair.run(pair.client.get(bench.ENERGY))


def test_no_nonce_of_a_release_is_used_again(bench: Any, security: Any) -> None:
    """RLRQ is ciphered, so its counter is one that the meter has seen."""
    pair = security.Pair(bench, security.Keys(0), CIPHERED)
    pair.run(pair.client.connect())
    pair.run(pair.client.release())
    last_sent = pair.settings.invocation_counter.next - 1
    assert pair.server.last_received_counter == last_sent


def test_a_static_key_of_the_same_counter_under_another_global_key(keys: Any) -> None:
    """Counters begin anew with a new global key; what two static keys make must not begin anew."""
    static = Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.STATIC)
    sealed = []
    for key in (keys.client.encryption_key, bytes(len(keys.client.encryption_key))):
        ours = replace(keys.client, encryption_key=key, protection=static)
        sent = SecurityContext(ours, CLIENT, METER).protect(PUSH, 7)
        sealed.append(apdu.GeneralCiphering.from_octets(sent).octets)
    assert sealed[0] != sealed[1]


@pytest.mark.parametrize(
    "key", [KeyEstablishment.WRAPPED, KeyEstablishment.ONE_PASS, KeyEstablishment.STATIC]
)
def test_an_old_answer_to_the_same_counter_under_another_global_key(
    keys: Any, key: KeyEstablishment
) -> None:
    protection = Protection(Form.GENERAL_CIPHERING, key=key)
    received: dict[bytes, int] = {}
    ours = SecurityContext(keys.client, CLIENT, METER, received)
    theirs = SecurityContext(keys.meter, METER, CLIENT)
    asked = theirs.open(ours.protect(b"\xc0\x01", 7, protection=protection))
    old = theirs.protect(b"\xc4\x01", 9, protection=asked.protection)
    assert ours.open(old).apdu == b"\xc4\x01"
    new_key = bytes(len(keys.client.encryption_key))
    later = SecurityContext(replace(keys.client, encryption_key=new_key), CLIENT, METER, received)
    later.protect(b"\xc0\x01", 7, protection=protection)
    with pytest.raises(SecurityError):
        later.open(old)


@pytest.mark.parametrize("mechanism", [1, 2, 3, 4, 6])
def test_a_role_without_the_secret_that_it_needs(mechanism: int) -> None:
    with pytest.raises(LocalError, match="secret"):
        ClientRole(Authentication(mechanism), hls_function=lambda secret, challenge: secret)


def test_a_role_that_protects_nothing_of_what_it_says() -> None:
    for other in ({"signed": True}, {"policy": ENCRYPTED}):
        with pytest.raises(LocalError, match="ciphered"):
            ClientRole(Authentication.HIGH_GMAC, **other)


def test_signatures_that_the_meter_asks_of_everybody(bench: Any, security: Any, keys: Any) -> None:
    """A role that names the client's keys does not take that back."""
    meter = keys.meter
    keys = security.Keys(meter.suite)
    role = replace(CIPHERED, peer=keys.meter.peer)
    keys.meter = replace(keys.meter, signed=True)
    pair = security.Pair(bench, keys, role)
    with pytest.raises((AssociationRejected, ServiceError)):
        pair.run(pair.client.connect())


@pytest.mark.parametrize("kind", [Sessions, WrapperConnection])
def test_addresses_that_never_associate_are_not_remembered(bench: Any, kind: Any) -> None:
    sessions = kind(LogicalServer(bench.Meter()))
    request = apdu.Aarq(1, apdu.InitiateRequest().to_octets()).to_octets()
    for address in range(100, 400):
        if kind is Sessions:
            (answer,) = sessions.answers(address, request)
        else:
            answer = sessions.receive(wrap(address, 1, request))[8:]
        refused = apdu.parse(answer)
        assert isinstance(refused, apdu.Aare)
        assert refused.result != 0
    held = sessions._by_client if kind is Sessions else sessions._others or {}
    assert len(held) <= 1


def test_a_way_does_not_show_its_keys(security: Any) -> None:
    keys = security.Keys(0).shared
    way = Way(GcmKey(keys.encryption_key), 0x30, b"\x30" + keys.authentication_key)
    assert keys.authentication_key.hex() not in repr(way)
    assert repr(keys.authentication_key)[2:-1] not in repr(way)


def test_who_signs_is_who_ciphers(keys: Any) -> None:
    """Where nobody was agreed on, the two layers could name two senders."""
    meter = SecurityContext(keys.meter, METER, b"")
    signed = Protection(Form.GENERAL, signature=Signature.OUTSIDE)
    outside = apdu.GeneralSigning.from_octets(meter.protect(PUSH, 7, protection=signed))
    header = outside.header._replace(originator=b"ANOTHER0", encoded=None)
    other = apdu.GeneralSigning(header, outside.content, b"")
    forged = other._replace(signature=keys.meter.signing_key.sign(other.signed()))
    with pytest.raises(SecurityError):
        SecurityContext(keys.client, bytes(8)).open(forged.to_octets())


def test_an_associated_client_is_remembered_whoever_else_asks(bench: Any) -> None:
    connection = WrapperConnection(LogicalServer(bench.Meter()))
    settings = [bench.settings(16), bench.settings(2)]
    clients = [Client(each.over_wrapper(), each) for each in settings]
    for client in clients:
        bench.run(client.connect(), connection.receive)
    request = apdu.Aarq(1, apdu.InitiateRequest().to_octets()).to_octets()
    for address in range(100, 110):
        connection.receive(wrap(address, 1, request))
    for client in clients:
        assert bench.run(client.get(bench.ENERGY), connection.receive).value == 1234567


def test_a_malformed_dedicated_key_leaves_nothing_behind(bench: Any, security: Any) -> None:
    session = Session(LogicalServer(bench.Meter()), 1)
    keys = security.Keys(0).shared
    keys = replace(
        keys, encryption_key=bench.ENCRYPTION_KEY, authentication_key=bench.AUTHENTICATION_KEY
    )
    initiate = apdu.InitiateRequest(dedicated_key=b"short").to_octets()
    sealed = SecurityContext(keys, bench.CLIENT_TITLE).protect(initiate, 1)
    session.answer(apdu.Aarq(3, sealed, 5, bytes(16), bench.CLIENT_TITLE).to_octets())
    plain = apdu.GetRequestNormal(0xC1, bench.ENERGY).to_octets()
    assert session.answer(plain) == Session(LogicalServer(bench.Meter()), 1).answer(plain)


@pytest.mark.parametrize("max_pdu", [1500, 0xFFFF])
def test_answers_fit_whatever_layers_the_client_adds_later(
    bench: Any, security: Any, keys: Any, max_pdu: int
) -> None:
    pair = security.Pair(bench, keys, CIPHERED, max_pdu=max_pdu)
    value = axdr.octet_string(bytes(2 * max_pdu - 80))
    pair.meter.values[bench.LONG] = axdr.encode(value)
    pair.run(pair.client.connect())
    one_pass = KeyEstablishment.ONE_PASS
    layers = Protection(Form.GENERAL_CIPHERING, key=one_pass, signature=Signature.INSIDE)
    for protection in (layers, None, layers):
        pair.client.protection = protection
        assert pair.run(pair.client.get(bench.LONG)) == value
    assert max(len(answered) for _, answered in pair.seen) <= max_pdu


def test_layers_that_leave_no_room_for_an_answer(bench: Any, security: Any, keys: Any) -> None:
    pair = security.Pair(bench, keys, CIPHERED, max_pdu=300)
    value = axdr.octet_string(bytes(310))
    pair.meter.values[bench.LONG] = axdr.encode(value)
    pair.run(pair.client.connect())
    pair.client.protection = Protection(
        Form.GENERAL_CIPHERING, key=KeyEstablishment.ONE_PASS, signature=Signature.INSIDE
    )
    with suppress(ServiceError):  # by its size; with P-256 there is room for a few octets at a time
        assert pair.run(pair.client.get(bench.LONG)) == value
    pair.client.protection = None
    assert pair.run(pair.client.get(bench.LONG)) == value
    assert max(len(answered) for _, answered in pair.seen) <= 300


def test_a_challenge_that_is_a_request(bench: Any, security: Any) -> None:
    """GMAC's proof of a challenge is the tag of a request of the same octets, not encrypted.

    A meter whose policy asks for authentication alone would carry it out.
    """

    class Oracle(security.Pair):  # type: ignore[misc, name-defined]
        def answer(self, octets: bytes) -> bytes:
            answered = apdu.parse(super().answer(octets)[8:])
            if isinstance(answered, apdu.Aare):
                answered = answered._replace(authentication_value=RELAY_OPENS)
            return wrap(1, 1, answered.to_octets())

    keys = security.Keys(0)
    pair = Oracle(bench, keys, GMAC)
    with pytest.raises(SecurityError):
        pair.run(pair.client.connect())
    asked = apdu.parse(pair.seen[-1][0])
    if isinstance(asked, apdu.ActionRequestNormal):
        proof = axdr.decode(asked.parameters or b"").as_octets()
        counter = int.from_bytes(proof[1:5], "big")
        forged = apdu.Ciphered(0xCB, proof[0], counter, RELAY_OPENS + proof[5:]).to_octets()
        meter = SecurityContext(
            replace(keys.meter, policy=AUTHENTICATED), bench.METER_TITLE, bench.CLIENT_TITLE
        )
        assert meter.open(forged).apdu != RELAY_OPENS


def test_a_meter_that_cannot_prove_itself_is_not_associated(bench: Any, security: Any) -> None:
    pair = security.Pair(bench, security.Keys(0), GMAC)
    pair.server.sent_counter = 1 << 32
    with pytest.raises(AssociationRejected):
        pair.run(pair.client.connect())
    get = apdu.GetRequestNormal(0xC1, bench.ENERGY).to_octets()
    answer = apdu.parse(pair.answer(wrap(1, 1, get))[8:])
    assert isinstance(answer, apdu.ExceptionResponse)


def test_challenges_of_random_octets_are_no_requests() -> None:
    """One of 2000 random challenges has the form of a ciphered APDU, which no proof makes valid."""
    octets = random.Random(20261121)
    for _ in range(20_000):
        refuse_request(octets.randbytes(16))
    refuse_request(bytes.fromhex("560e93c6ae681c3f83257843e9ebd059"))
    with pytest.raises(SecurityError, match="request"):
        refuse_request(apdu.GeneralBlockTransfer(True, False, 1, 1, 0, RELAY_OPENS).to_octets())
