"""Every form of protection, policy, suite and key: round trips, and what must be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import AgreedKey, GeneralCiphering, GeneralSigning, IdentifiedKey, WrappedKey
from hesper_dlms.association import Authentication
from hesper_dlms.errors import DecodeError, LocalError, SecurityError, ServiceError
from hesper_dlms.security import (
    AUTHENTICATED,
    AUTHENTICATED_ENCRYPTION,
    ENCRYPTED,
    Form,
    KeyEstablishment,
    PeerKeys,
    PrivateKey,
    Protection,
    SecurityContext,
    SecuritySettings,
    Signature,
)
from hesper_dlms.server import ClientRole
from hypothesis import given
from hypothesis import strategies as st

CLIENT, METER = b"CLIENT00", b"METER000"
GET = bytes.fromhex("C0010000080000010000FF0200")
ANSWER = bytes.fromhex("C40100001105")
POLICIES = [AUTHENTICATED, ENCRYPTED, AUTHENTICATED_ENCRYPTION]
KEYS_OF_MESSAGES = list(KeyEstablishment)
CIPHERING = [
    Protection(),
    Protection(dedicated=True),
    Protection(broadcast=True),
    Protection(Form.GENERAL),
    Protection(Form.GENERAL, dedicated=True),
    Protection(Form.GENERAL, broadcast=True),
    *(Protection(Form.GENERAL_CIPHERING, key=key) for key in KEYS_OF_MESSAGES),
    Protection(Form.GENERAL_CIPHERING, broadcast=True),
]
EVERY = [
    Protection(Form.NONE, signature=Signature.INSIDE),
    *(replace(each, signature=signature) for each in CIPHERING for signature in Signature),
]


def named(protection: Protection) -> str:
    parts = [protection.form.name, protection.key.name, protection.signature.name]
    parts += ["dedicated"] if protection.dedicated else []
    parts += ["broadcast"] if protection.broadcast else []
    return "-".join(parts).lower()


class Sides:
    """A sender and a receiver of one suite."""

    def __init__(self, keys: Any, **other: Any) -> None:
        dedicated = bytes(range(0xA0, 0xA0 + len(keys.client.encryption_key)))
        changes = {"dedicated_key": dedicated, **other}
        self.client = SecurityContext(replace(keys.client, **changes), CLIENT, METER)
        self.settings = replace(keys.meter, **changes)
        self.received: dict[bytes, int] = {}
        self.meter = self.fresh()

    def fresh(self) -> SecurityContext:
        """Return the receiver as it is in the next association."""
        return SecurityContext(self.settings, METER, CLIENT, self.received)


def settings_for(protection: Protection, policy: int = AUTHENTICATED_ENCRYPTION) -> dict[str, Any]:
    alone = protection.form is Form.NONE
    return {"policy": 0, "signed": True} if alone else {"policy": policy}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("protection", EVERY, ids=named)
def test_round_trip(keys: Any, protection: Protection, policy: int) -> None:
    sides = Sides(keys, **settings_for(protection, policy))
    octets = sides.client.protect(GET, 7, protection=protection)
    opened = sides.meter.open(octets)
    assert opened.apdu == GET
    assert opened.system_title == CLIENT
    assert opened.signed is (protection.signature is not Signature.NONE)
    assert opened.tag_verified is (protection.form is Form.NONE or policy != ENCRYPTED)
    if protection.form is not Form.NONE:
        assert opened.security_control & 0x3F == policy | keys.client.suite
        assert (GET in octets) is (policy == AUTHENTICATED)


@pytest.mark.parametrize("protection", EVERY, ids=named)
def test_any_flipped_bit_is_noticed(keys: Any, protection: Protection) -> None:
    sides = Sides(keys, **settings_for(protection))
    octets = sides.client.protect(GET, 7, protection=protection)
    step = 1 if len(octets) < 60 else 7
    for place in [*range(0, len(octets), step), len(octets) - 1]:
        changed = bytearray(octets)
        changed[place] ^= 1 << place % 8
        with pytest.raises((SecurityError, DecodeError)):
            sides.meter.open(bytes(changed))
    assert sides.meter.open(octets).apdu == GET


@pytest.mark.parametrize("protection", EVERY, ids=named)
def test_cut_short_it_is_refused(keys: Any, protection: Protection) -> None:
    sides = Sides(keys, **settings_for(protection))
    octets = sides.client.protect(GET, 7, protection=protection)
    for size in range(0, len(octets), 3):
        with pytest.raises((SecurityError, DecodeError)):
            sides.meter.open(octets[:size])


@pytest.mark.parametrize("protection", EVERY, ids=named)
def test_it_is_taken_once_and_in_order(keys: Any, protection: Protection) -> None:
    sides = Sides(keys, **settings_for(protection))
    first, second, third = (
        sides.client.protect(GET, counter, protection=protection) for counter in (5, 6, 9)
    )
    assert sides.meter.unprotect(first) == GET
    assert sides.meter.unprotect(third) == GET
    for context in (sides.meter, sides.fresh()):
        for octets in (first, second, third):
            with pytest.raises(SecurityError, match="replay"):
                context.open(octets)


@pytest.mark.parametrize("protection", EVERY, ids=named)
def test_it_is_answered_in_kind(keys: Any, protection: Protection) -> None:
    sides = Sides(keys, **settings_for(protection))
    octets = sides.client.protect(GET, 7, protection=protection)
    opened = sides.meter.open(octets)
    if opened.protection is None:
        return
    answer = sides.meter.protect(ANSWER, 3, protection=opened.protection)
    assert answer[0] in (octets[0], octets[0] + 4)
    back = sides.client.open(answer)
    assert (back.apdu, back.signed) == (ANSWER, opened.signed)
    with pytest.raises(SecurityError):
        sides.client.open(answer)


@pytest.mark.parametrize("policy", POLICIES[:2])
@pytest.mark.parametrize("protection", CIPHERING, ids=named)
def test_less_than_the_policy_is_refused(keys: Any, protection: Protection, policy: int) -> None:
    sides = Sides(keys)
    octets = sides.client.protect(GET, 7, protection=replace(protection, policy=policy))
    with pytest.raises(SecurityError, match="downgrade"):
        sides.meter.open(octets)


def test_a_missing_signature_is_refused(keys: Any) -> None:
    sides = Sides(keys, signed=True)
    for number, protection in enumerate(CIPHERING):
        octets = sides.client.protect(GET, number + 1, protection=protection)
        with pytest.raises(SecurityError, match="signature"):
            sides.fresh().open(octets)
    sides = Sides(keys)
    alone = Protection(Form.NONE, signature=Signature.INSIDE)
    with pytest.raises(SecurityError, match="ciphering"):
        sides.meter.open(sides.client.protect(GET, 1, protection=alone))


@pytest.mark.parametrize("protection", EVERY, ids=named)
def test_another_suite_is_refused(security: Any, protection: Protection) -> None:
    ours, theirs = Sides(security.Keys(1), **settings_for(protection)), Sides(security.Keys(2))
    octets = ours.client.protect(GET, 7, protection=protection)
    with pytest.raises(SecurityError):
        theirs.meter.open(octets)


def altered(octets: bytes, **changes: Any) -> bytes:
    return GeneralCiphering.from_octets(octets)._replace(**changes).to_octets()


@pytest.mark.parametrize("key", KEYS_OF_MESSAGES)
def test_key_info_as_the_standard_writes_it(keys: Any, key: KeyEstablishment) -> None:
    sides = Sides(keys)
    octets = sides.client.protect(GET, 7, protection=Protection(Form.GENERAL_CIPHERING, key=key))
    message = GeneralCiphering.from_octets(octets)
    assert message.to_octets() == octets
    transaction_id = message.header.transaction_id
    assert (len(transaction_id), transaction_id[:4]) == (8, (7).to_bytes(4, "big"))
    assert (message.header.originator, message.header.recipient) == (CLIENT, METER)
    info = message.key_info
    size = {1: 32, 2: 48}[keys.client.suite]
    if isinstance(info, WrappedKey):
        assert (info.kek_id, len(info.key_ciphered_data)) == (
            0,
            len(sides.settings.encryption_key) + 8,
        )
    elif isinstance(info, AgreedKey):
        one_pass = key is KeyEstablishment.ONE_PASS
        assert info.key_parameters == (b"\x01" if one_pass else b"\x02")
        assert len(info.key_ciphered_data) == (4 * size if one_pass else 0)
    else:
        assert info == IdentifiedKey(0)


def test_key_info_that_does_not_fit(keys: Any) -> None:
    sides = Sides(keys)
    protection = Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.WRAPPED)
    octets = sides.client.protect(GET, 7, protection=protection)
    info = GeneralCiphering.from_octets(octets).key_info
    assert isinstance(info, WrappedKey)
    for wrong in (
        None,
        IdentifiedKey(0),
        IdentifiedKey(1),
        IdentifiedKey(2),
        info._replace(kek_id=1),
        info._replace(key_ciphered_data=bytes(24)),
        AgreedKey(b"\x00", b""),
        AgreedKey(b"\x01", b""),
        AgreedKey(b"\x02", b""),
        AgreedKey(b"\x02", b"\x00"),
        AgreedKey(b"", b""),
    ):
        with pytest.raises(SecurityError):
            sides.meter.open(altered(octets, key_info=wrong))
    assert sides.meter.open(octets).apdu == GET


def test_an_absent_key_info_means_the_global_key(keys: Any) -> None:
    sides = Sides(keys)
    octets = sides.client.protect(GET, 7, protection=Protection(Form.GENERAL_CIPHERING))
    assert sides.meter.open(altered(octets, key_info=None)).apdu == GET


def test_for_another_or_from_another(keys: Any) -> None:
    sides = Sides(keys)
    protection = Protection(Form.GENERAL_CIPHERING)
    stranger = SecurityContext(sides.client.settings, b"STRANGER", METER)
    with pytest.raises(SecurityError, match="not the peer"):
        sides.meter.open(stranger.protect(GET, 7, protection=protection))
    elsewhere = SecurityContext(sides.client.settings, CLIENT, b"ELSEWHER")
    with pytest.raises(SecurityError, match="not for us"):
        sides.meter.open(elsewhere.protect(GET, 7, protection=protection))
    nobody = SecurityContext(sides.client.settings, CLIENT)
    assert sides.meter.open(nobody.protect(GET, 7, protection=protection)).apdu == GET


def test_keys_that_are_missing(keys: Any, security: Any) -> None:
    bare = Sides(keys)
    for protection, changes in (
        (Protection(dedicated=True), {"dedicated_key": None}),
        (Protection(broadcast=True), {"broadcast_key": None}),
        (Protection(Form.GENERAL_CIPHERING, broadcast=True), {"broadcast_key": None}),
        (Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.WRAPPED), {"master_key": None}),
        (Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.ONE_PASS), {"peer": PeerKeys()}),
        (Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.ONE_PASS), {"signing_key": None}),
        (Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.STATIC), {"agreement_key": None}),
        (Protection(signature=Signature.INSIDE), {"signing_key": None}),
    ):
        poor = Sides(keys, **changes)
        with pytest.raises(LocalError):
            poor.client.protect(GET, 7, protection=protection)
        octets = bare.client.protect(GET, 7, protection=protection)
        bare = Sides(keys)
        other = {"peer": PeerKeys()} if "signing_key" in changes else changes
        other = {"agreement_key": None} if "peer" in changes else other
        poor = Sides(keys, **other)
        with pytest.raises(SecurityError):
            poor.meter.open(octets)


def test_layers_may_not_pile_up(keys: Any) -> None:
    sides = Sides(keys)
    twice = sides.client.protect(GET, 1, protection=Protection(Form.GENERAL_CIPHERING))
    octets = sides.client.protect(twice, 2, protection=Protection(Form.GENERAL_CIPHERING))
    with pytest.raises(SecurityError, match="ciphered twice"):
        sides.meter.open(octets)
    octets = sides.client.protect(twice, 3, protection=Protection(Form.GENERAL))
    with pytest.raises(SecurityError):
        sides.meter.open(octets)
    alone = Protection(Form.NONE, signature=Signature.INSIDE)
    signed = sides.client.protect(GET, 4, protection=alone)
    octets = sides.client.protect(signed, 5, protection=Protection(signature=Signature.INSIDE))
    with pytest.raises(SecurityError, match="signed twice"):
        sides.meter.open(octets)


def test_a_signature_over_the_content_without_its_length(keys: Any) -> None:
    sides = Sides(keys, policy=0, signed=True)
    bare = Protection(Form.NONE, signature=Signature.INSIDE, content_length_signed=False)
    opened = sides.meter.open(sides.client.protect(GET, 1, protection=bare))
    assert opened.protection is not None
    assert opened.protection.content_length_signed is False
    answer = GeneralSigning.from_octets(
        sides.meter.protect(ANSWER, 2, protection=opened.protection)
    )
    signer = keys.meter.signing_key.public
    signer.verify(answer.signature, answer.signed(content_length=False))
    # What could be taken for a length in front of other octets is not taken.
    octets = sides.client.protect(b"\x05\x01\x02\xfa\x00", 3, protection=bare)
    with pytest.raises(SecurityError, match="signature"):
        sides.meter.open(octets)


def test_what_makes_no_sense_as_protection_or_settings(keys: Any) -> None:
    for wrong in (
        {"form": Form.NONE},
        {"dedicated": True, "broadcast": True},
        {"dedicated": True, "form": Form.GENERAL_CIPHERING},
    ):
        with pytest.raises(LocalError):
            Protection(**wrong)
    stranger = PrivateKey.generate(3 - keys.client.suite)
    for changes in (
        {"policy": 0},
        {"signing_key": stranger},
        {"peer": PeerKeys(stranger.public)},
        {"master_key": bytes(8)},
        {"signing_key": None, "protection": Protection(signature=Signature.INSIDE)},
        {"protection": Protection(Form.NONE, signature=Signature.INSIDE)},
    ):
        with pytest.raises(LocalError):
            replace(keys.client, **changes)
    with pytest.raises(LocalError):
        SecuritySettings(0, bytes(16), bytes(16), signed=True)


@pytest.fixture(scope="module")
def whole(keys: Any) -> tuple[Sides, list[bytes]]:
    """A receiver, and an APDU in every form that it would take."""
    sides = Sides(keys, policy=0, signed=True)
    signed = [each for each in EVERY if each.signature is not Signature.NONE]
    ciphered = [
        replace(each, policy=AUTHENTICATED) for each in signed if each.form is not Form.NONE
    ]
    return sides, [
        sides.client.protect(GET, number + 1, protection=each)
        for number, each in enumerate([signed[0], *ciphered])
    ]


@given(st.binary(max_size=300), st.integers(0, 1 << 30))
def test_nothing_but_our_errors_on_noise(
    whole: tuple[Sides, list[bytes]], noise: bytes, place: int
) -> None:
    sides, messages = whole
    chosen = messages[place % len(messages)]
    at = place % len(chosen)
    head = bytes((0xDD + place % 2 * 2,)) + b"\x00\x08" + CLIENT + b"\x08" + METER
    for octets in (noise, head + noise, chosen[:at] + noise, chosen[:at] + noise + chosen[at:]):
        # The two error answers that nobody ciphers come through; nothing else does.
        if octets != chosen and octets[:1] not in (b"\xd8", b"\x0e"):
            with pytest.raises((SecurityError, DecodeError)):
                sides.meter.open(octets)


ROLE = ClientRole(Authentication.HIGH_ECDSA, ciphered=True)
IN_SESSIONS = [each for each in CIPHERING if not each.broadcast]


@pytest.mark.parametrize("protection", IN_SESSIONS, ids=named)
def test_a_whole_session(bench: Any, security: Any, keys: Any, protection: Protection) -> None:
    dedicated = bytes(range(len(keys.client.encryption_key))) if protection.dedicated else None
    for signature in Signature:
        settings = replace(
            keys.client,
            dedicated_key=dedicated,
            protection=replace(protection, signature=signature),
        )
        pair = security.Pair(bench, keys, ROLE, security=settings)
        pair.run(pair.client.connect())
        assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
        asked, answered = pair.tags()
        assert answered == (asked + 4 if asked < 0xDB else asked)
        pair.run(pair.client.set(bench.NAME, axdr.octet_string(b"new name")))
        assert pair.run(pair.client.get(bench.NAME)).value == b"new name"
        pair.run(pair.client.release())


def test_protection_changes_from_one_request_to_the_next(
    bench: Any, security: Any, keys: Any
) -> None:
    pair = security.Pair(bench, keys, ROLE)
    pair.run(pair.client.connect())
    seen = []
    for protection in (*IN_SESSIONS[:1], *IN_SESSIONS[2:3], *IN_SESSIONS[4:], None):
        for signature in Signature:
            pair.client.protection = protection and replace(protection, signature=signature)
            assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
            seen.append(pair.tags())
    assert {(0xC8, 0xCC), (0xDB, 0xDB), (0xDD, 0xDD), (0xDF, 0xDF)} == set(seen)


def test_a_role_that_must_sign(bench: Any, security: Any, keys: Any) -> None:
    role = replace(ROLE, signed=True, peer=keys.meter.peer)
    inside = Protection(signature=Signature.INSIDE)
    pair = security.Pair(bench, keys, role, security=replace(keys.client, protection=inside))
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
    pair.client.protection = Protection()
    with pytest.raises(ServiceError, match="deciphering"):
        pair.run(pair.client.get(bench.ENERGY))
    pair = security.Pair(bench, keys, role)
    with pytest.raises(ServiceError, match="deciphering"):
        pair.run(pair.client.connect())


def test_signatures_alone(bench: Any, security: Any, keys: Any) -> None:
    alone = Protection(Form.NONE, signature=Signature.INSIDE)
    settings = replace(keys.client, policy=0, signed=True, protection=alone)
    role = replace(ROLE, policy=0, signed=True, peer=keys.meter.peer)
    pair = security.Pair(bench, keys, role, security=settings)
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
    assert pair.tags() == (0xDF, 0xDF)
    request = pair.seen[-1][0]
    again = pair.answer(b"\x00\x01\x00\x01\x00\x01" + len(request).to_bytes(2, "big") + request)
    assert again[8] == apdu.error.EXCEPTION_RESPONSE
    pair.run(pair.client.get(bench.NAME))


def test_long_values_stay_within_the_agreed_sizes(bench: Any, security: Any, keys: Any) -> None:
    heavy = Protection(
        Form.GENERAL_CIPHERING, key=KeyEstablishment.ONE_PASS, signature=Signature.INSIDE
    )
    settings = replace(keys.client, protection=heavy)
    pair = security.Pair(bench, keys, ROLE, security=settings, max_pdu=1200)
    pair.server.max_pdu = 1000
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get_octets(bench.LONG)) == pair.meter.values[bench.LONG]
    data = axdr.octet_string(bytes(range(256)) * 10)
    pair.run(pair.client.set(bench.NAME, data))
    assert pair.meter.values[bench.NAME] == axdr.encode(data)
    assert max(len(asked) for asked, _ in pair.seen) <= 1000
    assert max(len(answered) for _, answered in pair.seen) <= 1200
