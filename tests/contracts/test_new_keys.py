"""New keys are readable by one gateway, for one command, and by nobody else."""

from typing import Any

import pytest
from hesper_contracts import new_keys
from hesper_contracts.frame import Refused
from hesper_contracts.new_keys import NewKeys, Recipient
from hesper_contracts.signing import Signer

KEYS = NewKeys(encryption_key=bytes(range(16)), authentication_key=bytes(range(16, 32)))
RECIPIENT = Recipient("gw-1", "M/1", "c-1")


def test_the_gateway_opens_what_was_sealed_with_its_public_key() -> None:
    gateway = Signer.generate()
    box = new_keys.seal(KEYS, RECIPIENT, gateway.public_key)
    assert gateway.opener().open(box, RECIPIENT) == KEYS
    assert bytes(range(16)) not in box
    assert len(box) < new_keys.BOX_MAX


@pytest.mark.parametrize("other", [("gw-2", "M/1", "c-1"), ("gw-1", "M", "1/c-1")])
def test_a_box_fits_no_other_command(other: tuple[str, str, str]) -> None:
    gateway = Signer.generate()
    box = new_keys.seal(KEYS, RECIPIENT, gateway.public_key)
    with pytest.raises(Refused, match="not sealed for this gateway"):
        gateway.opener().open(box, Recipient(*other))


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_an_altered_box_is_refused(at: int) -> None:
    gateway = Signer.generate()
    box = bytearray(new_keys.seal(KEYS, RECIPIENT, gateway.public_key))
    box[at] ^= 1
    with pytest.raises(Refused):
        gateway.opener().open(bytes(box), RECIPIENT)


@pytest.mark.parametrize("box", [b"", bytes(31), bytes(32), bytes(200)])
def test_what_is_no_box_is_refused(box: bytes) -> None:
    with pytest.raises(Refused):
        Signer.generate().opener().open(box, RECIPIENT)


def test_another_gateway_cannot_open_it() -> None:
    box = new_keys.seal(KEYS, RECIPIENT, Signer.generate().public_key)
    with pytest.raises(Refused):
        Signer.generate().opener().open(box, RECIPIENT)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"master_key": bytes(16)},
        {"encryption_key": bytes(15)},
        {"encryption_key": bytes(16), "authentication_key": bytes(16)},
        {"encryption_key": bytes(16), "authentication_key": bytes([1] * 32)},
    ],
)
def test_keys_that_do_not_fit_together_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="key"):
        NewKeys(**keys)


@pytest.mark.parametrize("public", [bytes(31), b"\x01" + bytes(31), b"\xff" * 32])
def test_nothing_is_sealed_with_what_is_no_key(public: bytes) -> None:
    with pytest.raises(Refused):
        new_keys.seal(KEYS, RECIPIENT, public)


def test_keys_do_not_show() -> None:
    assert "0001" not in repr(KEYS)
    assert repr(KEYS) == "NewKeys(…)"
