"""A restored cloud's wish for receipted batches: signed by the ingest key, for one gateway."""

import pytest
from hesper_contracts import again
from hesper_contracts.again import SendAgain
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_contracts.topics import Address, Topics

KEY = Signer.generate()
WISH = SendAgain("gw-1", "0123456789abcdef", 258)


def test_a_wish_goes_round_and_says_what_it_is() -> None:
    payload = again.to_payload(WISH, KEY)
    assert payload[:4] == b"HG1s"
    assert again.from_payload(payload, Keyring.of(KEY.public_key), "gw-1") == WISH
    topic = Topics().down("gw-1", Kind.AGAIN)
    assert topic == "hesper/v1/gw-1/down/again"
    assert Topics().parse(topic) == Address("gw-1", "down", Kind.AGAIN)


def test_another_gateways_wish_and_a_forged_one_are_refused() -> None:
    keys = Keyring.of(KEY.public_key)
    with pytest.raises(Refused, match="for gateway"):
        again.from_payload(again.to_payload(WISH, KEY), keys, "gw-2")
    with pytest.raises(Forged):
        again.from_payload(again.to_payload(WISH, Signer.generate()), keys, "gw-1")


@pytest.mark.parametrize("sequence", [-1, 2**63, 2**64])
def test_a_sequence_that_no_database_has_is_refused(sequence: int) -> None:
    keys = Keyring.of(KEY.public_key)
    with pytest.raises(Refused, match="from_sequence"):
        again.from_payload(again.to_payload(SendAgain("gw-1", None, sequence), KEY), keys, "gw-1")
