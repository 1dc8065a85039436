"""The messages of a tunnel, octet by octet."""

import pytest
from hesper_contracts.frame import Refused
from hesper_contracts.tunnel import (
    CONTENT_MAX,
    Direction,
    Message,
    Type,
    from_payload,
    session_of,
    to_payload,
)

SESSION = session_of("c-1")
VECTOR = bytes.fromhex(
    "4854316f" + "f3375f072a4c3d44f9c57d1f345669e7" + "64" + "02" + "00000007" + "7ea0"
)


def test_a_message_is_these_octets_and_comes_back():
    message = Message(SESSION, Direction.DOWN, Type.DATA, 7, b"\x7e\xa0")
    assert to_payload(message) == VECTOR
    assert from_payload(VECTOR, Direction.DOWN) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        VECTOR[:25],
        b"HR1o" + VECTOR[4:],
        b"HT2o" + VECTOR[4:],
        b"HT1j" + VECTOR[4:],
        VECTOR[:20] + b"x" + VECTOR[21:],
        VECTOR[:21] + b"\x09" + VECTOR[22:],
        VECTOR + bytes(CONTENT_MAX),
    ],
)
def test_what_is_no_message_is_refused(payload):
    with pytest.raises(Refused):
        from_payload(payload, Direction.DOWN)


def test_a_message_that_is_sent_back_is_not_taken():
    with pytest.raises(Refused, match="the other way"):
        from_payload(VECTOR, Direction.UP)


def test_more_than_fits_is_our_mistake():
    with pytest.raises(ValueError, match="at most"):
        to_payload(Message(SESSION, Direction.UP, Type.DATA, 1, bytes(CONTENT_MAX + 1)))
