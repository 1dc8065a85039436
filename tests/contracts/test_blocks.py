"""Image blocks say themselves what they are; a request is answered in as many as it asks for."""

import hashlib

import pytest
from hesper_contracts import blocks, requests
from hesper_contracts.blocks import BLOCK_OCTETS, ImageBlock
from hesper_contracts.frame import Refused
from hesper_contracts.requests import BlocksRequest

IMAGE = bytes(range(256)) * 130
HASH = hashlib.sha256(IMAGE).hexdigest()


def asked(first: int, count: int) -> BlocksRequest:
    return BlocksRequest(gateway="gw-1", image_hash=HASH, first=first, count=count)


def test_a_block_octet_for_octet() -> None:
    payload = blocks.to_payload(ImageBlock(HASH, 258, b"abc"))
    assert payload == b"HB1o" + bytes.fromhex(HASH) + bytes.fromhex("00000102") + b"abc"
    assert blocks.from_payload(payload) == (HASH, 258, b"abc")


def test_a_request_octet_for_octet() -> None:
    payload = requests.request_to_payload(asked(2, 8))
    fields = b'"ask":"blocks","gateway":"gw-1","image_hash":"%b","first":2,"count":8'
    assert payload == b"HQ1j{" + fields % HASH.encode() + b"}"
    assert requests.request_from_payload(payload, "gw-1") == asked(2, 8)
    with pytest.raises(Refused):
        requests.request_from_payload(payload, "gw-2")


def test_the_answers_put_together_are_the_image() -> None:
    found = [blocks.from_payload(each) for each in blocks.answers(asked(0, 64), IMAGE)]
    assert [each.number for each in found] == [0, 1, 2] == list(range(blocks.count(len(IMAGE))))
    assert [len(each.octets) for each in found] == [
        blocks.length(number, len(IMAGE)) for number in range(3)
    ]
    assert b"".join(each.octets for each in found) == IMAGE
    assert blocks.answers(asked(1, 1), IMAGE) == blocks.answers(asked(0, 64), IMAGE)[1:2]
    assert blocks.answers(asked(3, 4), IMAGE) == []


@pytest.mark.parametrize("octets", [b"", bytes(BLOCK_OCTETS + 1)])
def test_a_block_of_no_length_or_too_much_is_refused(octets: bytes) -> None:
    with pytest.raises(Refused):
        blocks.from_payload(blocks.to_payload(ImageBlock(HASH, 0, octets)))


@pytest.mark.parametrize(
    "body",
    [b'{"ask":"blocks"}', b'{"ask":"dreams","gateway":"gw-1"}', b"[]", b'{"gateway":"gw-1"}'],
)
def test_a_request_for_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        requests.request_from_payload(b"HQ1j" + body, "gw-1")
