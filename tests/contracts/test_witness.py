"""Checkpoints of the audit log and testimonies of them, octet for octet."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hesper_contracts import witness
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Forged, Keyring, Signer, body_of
from hesper_contracts.witness import MOST_TOLD, Checkpoint

AUTHORITY = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = Keyring.of(AUTHORITY.public_key)
SAID = Checkpoint(sequence=7, head="ab" * 32, at=datetime(2026, 6, 1, 12, 0, tzinfo=UTC))
BODY = b'{"sequence":7,"head":"' + b"ab" * 32 + b'","at":"2026-06-01T12:00:00Z"}'


def test_a_checkpoint_is_a_signed_body_under_its_header():
    payload = witness.to_payload(SAID, AUTHORITY)
    assert payload[:5] == b"HW1s\x10"
    assert payload[5:21] == AUTHORITY.key_id.encode()
    assert payload[85:] == BODY == body_of(payload[4:])
    assert witness.from_payload(payload, KEYS) == SAID


@pytest.mark.parametrize("place", [0, 4, 10, 40, 90, -2])
def test_an_altered_octet_is_refused(place):
    payload = bytearray(witness.to_payload(SAID, AUTHORITY))
    payload[place] ^= 1
    with pytest.raises(Refused):
        witness.from_payload(bytes(payload), KEYS)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"7", b"0", 1),
        BODY.replace(b"abab", b"ABAB", 1),
        BODY.replace(b'"ab', b'"', 1),
        BODY[:-1] + b',"more":1}',
        b"[]",
    ],
)
def test_a_signed_body_that_says_nothing_possible_is_refused(body):
    with pytest.raises(Refused):
        witness.from_payload(AUTHORITY.sign(b"HW1s", body), KEYS)


def test_a_signature_of_another_kind_does_not_count():
    with pytest.raises(Forged):
        witness.from_payload(b"HW1s" + AUTHORITY.sign(b"HC1s", BODY)[4:], KEYS)


def test_a_testimony_holds_payloads_as_they_came():
    payload = witness.to_payload(SAID, AUTHORITY)
    told = witness.testimony_to_payload(witness.Testimony(gateway="gw-1", checkpoints=(payload,)))
    assert told.startswith(b'HW1j{"gateway":"gw-1","checkpoints":["SFcxcxA')
    assert witness.testimony_from_payload(told, "gw-1").checkpoints == (payload,)
    for altered, gateway in ((told, "gw-2"), (told[:-2], "gw-1"), (payload, "gw-1")):
        with pytest.raises(Refused):
            witness.testimony_from_payload(altered, gateway)


@pytest.mark.parametrize("checkpoints", [(b"x",) * (MOST_TOLD + 1), (b"x" * 1025,)])
def test_a_testimony_is_bounded(checkpoints):
    told = witness.testimony_to_payload(witness.Testimony(gateway="gw-1", checkpoints=checkpoints))
    with pytest.raises(Refused):
        witness.testimony_from_payload(told, "gw-1")
