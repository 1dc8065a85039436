"""A manifest counts by the seals of two different release keys, and commands say what it says."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hesper_contracts import firmware, jsonbody, manifest
from hesper_contracts.firmware import ActivateFirmware, UpdateGateway
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import Manifest, SignedManifest
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_contracts.versions import at_least

HASH = "ab" * 32
SAID = Manifest(
    type="meter",
    hardware="HSP-3",
    version="HSP-FW 1.5.0",
    image_hash=HASH,
    size=262144,
    not_after=datetime(2026, 6, 30, tzinfo=UTC),
    minimum_version="HSP-FW 1.4.0",
)
ANN, BOB, EVE = Signer.generate(), Signer.generate(), Signer.generate()
KEYS = Keyring.of(ANN.public_key, BOB.public_key)


def sealed(said: Manifest, *by: Signer) -> SignedManifest:
    document = manifest.unsigned(said)
    for signer in by:
        document = manifest.sign(document, signer)
    return document


def test_two_keys_make_it_count_also_after_a_journey_as_json() -> None:
    document = sealed(SAID, ANN, BOB)
    travelled = jsonbody.decode(jsonbody.encode(document), SignedManifest)
    assert manifest.read(travelled, KEYS) == SAID
    assert manifest.sealed_by(travelled, KEYS) == {ANN.key_id, BOB.key_id}


@pytest.mark.parametrize("by", [(), (ANN,), (ANN, ANN), (ANN, EVE), (EVE, EVE)])
def test_fewer_than_two_trusted_keys_do_not(by: tuple[Signer, ...]) -> None:
    with pytest.raises(Forged, match="needs 2 release keys"):
        manifest.read(sealed(SAID, *by), KEYS)


def test_one_seal_given_twice_is_one() -> None:
    once = sealed(SAID, ANN)
    with pytest.raises(Forged):
        manifest.read(SignedManifest(once.manifest, once.seals * 2), KEYS)


def flipped(seal: bytes, at: int) -> bytes:
    altered = bytearray(seal)
    altered[at] ^= 1
    return bytes(altered)


@pytest.mark.parametrize(
    "alter",
    [
        lambda d: msgspec.structs.replace(d, manifest=d.manifest.replace("1.5.0", "1.5.1")),
        lambda d: msgspec.structs.replace(d, manifest=d.manifest + " "),
        lambda d: msgspec.structs.replace(d, seals=(d.seals[0], flipped(d.seals[1], -1))),
        lambda d: msgspec.structs.replace(d, seals=(d.seals[0], flipped(d.seals[1], 0))),
        lambda d: msgspec.structs.replace(d, seals=(d.seals[0], bytes(66))),
    ],
)
def test_an_altered_one_does_not_count(alter: Any) -> None:
    with pytest.raises(Forged):
        manifest.read(alter(sealed(SAID, ANN, BOB)), KEYS)


def test_a_seal_over_more_than_the_text_does_not_count() -> None:
    text = manifest.unsigned(SAID).manifest
    document = SignedManifest(" " + text)
    for signer in (ANN, BOB):
        document = manifest.sign(document, signer)
    assert manifest.read(document, KEYS) == SAID
    with pytest.raises(Forged):
        manifest.read(SignedManifest(text, tuple(seal + b" " for seal in document.seals)), KEYS)


def test_two_signatures_under_nonsense_make_no_manifest() -> None:
    document = SignedManifest("{}")
    for signer in (ANN, BOB):
        document = manifest.sign(document, signer)
    with pytest.raises(Refused):
        manifest.read(document, KEYS)


def test_it_is_good_until_its_date() -> None:
    SAID.check_time(SAID.not_after)
    with pytest.raises(Refused, match="good for nothing after"):
        SAID.check_time(datetime(2026, 7, 1, tzinfo=UTC))


def test_a_command_says_of_the_image_what_its_manifest_does() -> None:
    document = sealed(SAID, ANN, BOB)
    transfer = firmware.transfer_of(document)
    assert (transfer.identifier, transfer.hardware) == ("HSP-FW 1.5.0", "HSP-3")
    assert firmware.check(transfer, HASH, KEYS) == SAID
    activation = firmware.activation_of(document, datetime(2026, 6, 1, tzinfo=UTC))
    assert firmware.check(activation, HASH, KEYS) == SAID
    assert firmware.image_of(activation) == firmware.image_of(transfer) == HASH


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": 1}, "something else"),
        ({"hardware": None}, "something else"),
        ({"minimum_version": None}, "something else"),
        ({"not_after": datetime(2027, 1, 1, tzinfo=UTC)}, "something else"),
        ({"manifest": None}, "no manifest"),
        ({"manifest": sealed(SAID, ANN)}, "needs 2"),
    ],
)
def test_a_command_that_says_more_than_its_manifest_is_refused(
    change: dict[str, Any], reason: str
) -> None:
    transfer = firmware.transfer_of(sealed(SAID, ANN, BOB))
    with pytest.raises(Refused, match=reason):
        firmware.check(msgspec.structs.replace(transfer, **change), HASH, KEYS)


def test_a_command_is_for_the_image_and_the_kind_of_its_manifest() -> None:
    document = sealed(SAID, ANN, BOB)
    with pytest.raises(Refused, match="another image"):
        firmware.check(firmware.transfer_of(document), "cd" * 32, KEYS)
    with pytest.raises(Refused, match="for a meter, not for a gateway"):
        firmware.check(UpdateGateway(manifest=document), HASH, KEYS)
    other = ActivateFirmware(version="HSP-FW 2", not_after=SAID.not_after, manifest=document)
    with pytest.raises(Refused, match="something else"):
        firmware.check(other, HASH, KEYS)


@pytest.mark.parametrize(
    ("version", "minimum", "verdict"),
    [
        ("HSP-FW 1.10.0", "HSP-FW 1.9", True),
        ("HSP-FW 1.4", "HSP-FW 1.4.1", False),
        ("V2", "1.9", None),
        ("0.2.0", "0.1.0", True),
    ],
)
def test_versions_are_compared_where_their_words_are_the_same(
    version: str, minimum: str, verdict: bool | None
) -> None:
    assert at_least(version, minimum) is verdict
