"""Ciphering: worked vectors, and everything that must be refused."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hesper_dlms.errors import DecodeError, LocalError, SecurityError
from hesper_dlms.security import (
    AUTHENTICATED,
    ENCRYPTED,
    SecurityContext,
    SecuritySettings,
    check_challenge,
    new_challenge,
    prove,
    verify,
)
from hypothesis import given
from hypothesis import strategies as st

# The worked example of the Green Book (9.2.3.3.8, 9.2.7.4), recomputed with `cryptography`.
KEYS = SecuritySettings(
    0,
    bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
    bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
)
METER = bytes.fromhex("4D4D4D0000BC614E")
CLIENT = bytes.fromhex("4D4D4D0000000001")
COUNTER = 0x01234567
GET = bytes.fromhex("C0010000080000010000FF0200")
ANSWER = bytes.fromhex("C40100001105")
CIPHERED_GET = bytes.fromhex("C81E3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B")


def sender(settings: SecuritySettings = KEYS) -> SecurityContext:
    return SecurityContext(settings, METER)


def receiver(settings: SecuritySettings = KEYS) -> SecurityContext:
    return SecurityContext(settings, CLIENT, METER)


def test_the_worked_example_both_ways() -> None:
    assert sender().protect(GET, COUNTER) == CIPHERED_GET
    opened = receiver().open(CIPHERED_GET)
    assert opened.apdu == GET
    assert opened.tag_verified
    assert (opened.security_control, opened.invocation_counter) == (0x30, COUNTER)
    assert opened.system_title == METER


@pytest.mark.parametrize(
    ("policy", "tail"),
    [
        (AUTHENTICATED, GET.hex() + "06725d910f9221d263877516"),
        (ENCRYPTED, "411312ff935a47566827c467bc"),
    ],
)
def test_the_lesser_policies_when_a_template_asks_for_them(policy: int, tail: str) -> None:
    settings = replace(KEYS, policy=policy)
    octets = sender(settings).protect(GET, COUNTER)
    assert octets.hex().endswith("01234567" + tail)
    opened = receiver(settings).open(octets)
    assert (opened.apdu, opened.tag_verified) == (GET, policy == AUTHENTICATED)


def test_the_worked_proofs_of_hls() -> None:
    proof = prove(KEYS, CLIENT, 1, b"P6wRJ21F")
    assert proof.hex() == "10000000011a52fe7dd3e72748973c1e28"
    assert verify(KEYS, CLIENT, proof, b"P6wRJ21F") == 1
    proof = prove(KEYS, METER, COUNTER, b"K56iVagY")
    assert proof.hex() == "1001234567fe1466afb3dbcd4f9389e2b7"
    assert verify(KEYS, METER, proof, b"K56iVagY") == COUNTER


@pytest.mark.parametrize(
    ("title", "proof", "challenge"),
    [
        (CLIENT, "10000000011a52fe7dd3e72748973c1e28", b"P6wRJ21G"),
        (METER, "10000000011a52fe7dd3e72748973c1e28", b"P6wRJ21F"),
        (CLIENT, "10000000021a52fe7dd3e72748973c1e28", b"P6wRJ21F"),
        (CLIENT, "10000000011a52fe7dd3e72748973c1e29", b"P6wRJ21F"),
        (CLIENT, "30000000011a52fe7dd3e72748973c1e28", b"P6wRJ21F"),
        (CLIENT, "10000000011a52fe7dd3e72748973c1e", b"P6wRJ21F"),
        (CLIENT, "", b"P6wRJ21F"),
    ],
)
def test_a_proof_that_does_not_fit(title: bytes, proof: str, challenge: bytes) -> None:
    with pytest.raises(SecurityError):
        verify(KEYS, title, bytes.fromhex(proof), challenge)


def test_challenges_are_fresh_and_never_our_own() -> None:
    ours = new_challenge()
    assert len(ours) == 16
    assert ours != new_challenge()
    assert check_challenge(ours, b"P6wRJ21F") == b"P6wRJ21F"
    for theirs in (ours, None, b"short", bytes(65)):
        with pytest.raises(SecurityError):
            check_challenge(ours, theirs)
    with pytest.raises(LocalError):
        new_challenge(4)


@pytest.mark.parametrize("general", [False, True])
def test_any_flipped_bit_is_noticed(general: bool) -> None:
    octets = sender(replace(KEYS, general=general)).protect(GET, COUNTER)
    opened = receiver()
    for place in range(len(octets)):
        for bit in range(8):
            changed = bytearray(octets)
            changed[place] ^= 1 << bit
            with pytest.raises((SecurityError, DecodeError)):
                opened.open(bytes(changed))
    assert opened.open(octets).apdu == GET


def test_a_cut_or_stripped_tag_is_noticed() -> None:
    for cut in range(1, 31):
        body = CIPHERED_GET[2 : len(CIPHERED_GET) - cut]
        with pytest.raises((SecurityError, DecodeError)):
            receiver().open(bytes((0xC8, len(body))) + body)


def test_a_message_is_taken_once_and_in_order() -> None:
    ours, theirs = receiver(), sender()
    first, second, third = (theirs.protect(ANSWER, counter) for counter in (5, 6, 9))
    assert ours.unprotect(first) == ANSWER
    assert ours.unprotect(third) == ANSWER
    for replayed in (first, second, third):
        with pytest.raises(SecurityError, match="replay"):
            ours.unprotect(replayed)


def test_a_recorded_message_is_refused_in_the_next_association() -> None:
    received: dict[bytes, int] = {}
    octets = sender().protect(ANSWER, 5)
    SecurityContext(KEYS, CLIENT, METER, received).unprotect(octets)
    with pytest.raises(SecurityError, match="replay"):
        SecurityContext(KEYS, CLIENT, METER, received).unprotect(octets)
    assert list(received.values()) == [5]
    assert KEYS.encryption_key not in next(iter(received))


def test_a_forged_counter_does_not_lock_the_meter_out() -> None:
    ours = receiver()
    forged = bytearray(sender().protect(ANSWER, 5))
    forged[3:7] = b"\xff\xff\xff\xf0"
    with pytest.raises(SecurityError):
        ours.open(bytes(forged))
    assert ours.unprotect(sender().protect(ANSWER, 5)) == ANSWER


@pytest.mark.parametrize("policy", [AUTHENTICATED, ENCRYPTED])
def test_less_protection_than_agreed_is_refused(policy: int) -> None:
    octets = sender(replace(KEYS, policy=policy)).protect(ANSWER, 5)
    with pytest.raises(SecurityError, match="downgrade"):
        receiver().open(octets)


def test_plain_answers_are_refused_but_errors_come_through() -> None:
    for octets in (ANSWER, b"", b"\x0f\x00\x00\x00\x01\x00\x00"):
        with pytest.raises(SecurityError, match="without ciphering"):
            receiver().open(octets)
    refusal = bytes.fromhex("d80206")
    opened = receiver().open(refusal)
    assert (opened.apdu, opened.tag_verified) == (refusal, False)


@pytest.mark.parametrize("control", [0x31, 0x3F, 0xB0, 0x70, 0x00, 0x80])
def test_unknown_security_control_bits_are_refused(control: int) -> None:
    changed = bytearray(CIPHERED_GET)
    changed[2] = control
    with pytest.raises(SecurityError):
        receiver().open(bytes(changed))


def test_the_service_inside_must_be_the_one_named_outside() -> None:
    answer = bytearray(sender().protect(ANSWER, 5))
    answer[0] = 0xCD
    with pytest.raises(SecurityError, match="not the service"):
        receiver().open(bytes(answer))
    nested = sender(replace(KEYS, general=True)).protect(CIPHERED_GET, 6)
    with pytest.raises(SecurityError, match="not the service"):
        receiver().open(nested)


def test_another_system_title_is_refused() -> None:
    octets = SecurityContext(replace(KEYS, general=True), CLIENT).protect(ANSWER, 5)
    with pytest.raises(SecurityError, match="system title"):
        receiver().open(octets)
    assert SecurityContext(KEYS, METER).open(octets).system_title == CLIENT
    with pytest.raises(SecurityError, match="not known"):
        SecurityContext(KEYS, CLIENT).open(CIPHERED_GET)


def test_general_and_service_specific_ciphering_are_both_taken() -> None:
    general = sender(replace(KEYS, general=True)).protect(ANSWER, 5)
    assert general[0] == 0xDB
    ours = receiver()
    assert ours.unprotect(general) == ANSWER
    assert ours.unprotect(sender().protect(ANSWER, 6)) == ANSWER
    push = bytes.fromhex("0f0000000100") + b"\x11\x05"
    assert sender().protect(push, 7)[0] == 0xDB


def test_an_unknown_authentication_key_must_be_said() -> None:
    silent = SecuritySettings(0, KEYS.encryption_key)
    said = replace(silent, authentication_key_unknown=True)
    both = sender().protect(ANSWER, 5)
    bare = sender(replace(KEYS, policy=ENCRYPTED)).protect(ANSWER, 6)
    tag_only = sender(replace(KEYS, policy=AUTHENTICATED)).protect(ANSWER, 7)
    for octets in (both, bare):
        with pytest.raises(SecurityError, match="authentication_key_unknown"):
            receiver(silent).open(octets)
        opened = receiver(said).open(octets)
        assert (opened.apdu, opened.tag_verified) == (ANSWER, False)
    with pytest.raises(SecurityError, match="downgrade"):
        receiver(said).open(tag_only)
    with pytest.raises(LocalError):
        replace(KEYS, authentication_key_unknown=True)


def test_dedicated_and_broadcast_keys_only_where_agreed() -> None:
    dedicated = replace(KEYS, dedicated_key=bytes(16))
    octets = sender(dedicated).protect(ANSWER, 5, dedicated=True)
    assert octets[0] == 0xD4
    assert receiver(dedicated).unprotect(octets) == ANSWER
    with pytest.raises(SecurityError, match="dedicated"):
        receiver().open(octets)
    with pytest.raises(LocalError, match="dedicated"):
        sender().protect(ANSWER, 5, dedicated=True)


def test_our_own_counter_never_repeats_and_ends_in_time() -> None:
    ours = sender()
    ours.protect(GET, 7)
    for used in (7, 6, -1):
        with pytest.raises(LocalError):
            ours.protect(GET, used)
    ours.protect(GET, 2**32 - 2)
    for late in (2**32 - 1, 2**32):
        with pytest.raises(LocalError, match="exhausted"):
            sender().protect(GET, late)


def test_suite_2_has_longer_keys() -> None:
    settings = SecuritySettings(2, bytes(range(32)), bytes(range(32, 64)))
    octets = sender(settings).protect(ANSWER, 1)
    assert octets[2] == 0x32
    assert receiver(settings).unprotect(octets) == ANSWER
    with pytest.raises(SecurityError, match="suite"):
        receiver().open(octets)
    for suite, key in ((0, bytes(32)), (2, bytes(16)), (3, bytes(16))):
        with pytest.raises(LocalError):
            SecuritySettings(suite, key, key)


def test_a_push_may_come_by_any_suite_that_ciphers_alike() -> None:
    suite_1 = replace(KEYS, suite=1, policy=ENCRYPTED)
    octets = sender(suite_1).protect(ANSWER, 1)
    assert octets[2] == 0x21
    said = SecuritySettings(0, KEYS.encryption_key, authentication_key_unknown=True)
    with pytest.raises(SecurityError, match="suite 1"):
        receiver(said).open(octets)
    assert receiver(replace(said, any_suite=True)).unprotect(octets) == ANSWER
    suite_2 = SecuritySettings(2, bytes(32), bytes(32))
    with pytest.raises(SecurityError, match="suite 2"):
        receiver(replace(KEYS, any_suite=True)).open(sender(suite_2).protect(ANSWER, 1))


def test_keys_are_never_shown() -> None:
    settings = replace(KEYS, dedicated_key=b"dedicated-key-01", broadcast_key=b"broadcast-key-01")
    shown = repr(settings) + repr(SecurityContext(settings, METER)) + str(settings)
    for key in (settings.encryption_key, settings.authentication_key, settings.dedicated_key):
        assert key is not None
        assert key.hex() not in shown.lower()
        assert repr(key)[2:-1] not in shown


@given(st.binary(max_size=80))
def test_nothing_but_our_errors_on_noise(octets: bytes) -> None:
    for octets_ in (octets, b"\xdb\x08" + METER + octets, b"\xcc" + octets):
        with suppress(SecurityError, DecodeError):
            receiver().open(octets_)


@given(st.binary(min_size=1, max_size=500), st.integers(0, 2**32 - 2))
def test_round_trip(body: bytes, counter: int) -> None:
    apdu = b"\xc4\x01\xc1\x00" + body
    assert receiver().unprotect(sender().protect(apdu, counter)) == apdu
