"""The APDUs of lists, blocks and ACCESS: worked octets both ways, and hostile octets.

The objects 0.0.128.n.0.255 and their values are those of the Green Book's worked examples of GET
and SET with lists and blocks; the general blocks are the heads of a push of a Landis+Gyr E450.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import (
    AccessKind,
    AccessRequest,
    AccessRequestAction,
    AccessRequestGet,
    AccessRequestSet,
    AccessResponse,
    AccessResult,
    AccessSelection,
    ActionOutcome,
    ActionRequestWithList,
    ActionRequestWithListFirstBlock,
    ActionResponseWithList,
    ConfirmedServiceError,
    CosemAttribute,
    CosemMethod,
    DataBlock,
    DataNotificationConfirm,
    EventNotification,
    ExceptionResponse,
    GeneralBlockTransfer,
    GetRequestWithList,
    GetResponseWithBlock,
    GetResponseWithList,
    SetRequestWithList,
    SetRequestWithListFirstBlock,
    SetResponseLastBlockWithList,
    SetResponseWithList,
)
from hesper_dlms.errors import DecodeError, DlmsError, InvocationCounterError, LocalError
from hypothesis import given, settings
from hypothesis import strategies as st

FIRST = CosemAttribute(1, bytes((0, 0, 128, 0, 0, 255)), 2)
SECOND = CosemAttribute(1, bytes((0, 0, 128, 1, 0, 255)), 2)
FIFTY = bytes.fromhex("0932") + bytes(range(1, 51))
ZEROS = bytes.fromhex("0a03303030")
RELAY = CosemMethod(70, obis.DISCONNECT_CONTROL, 1)
NAMES = "02" + "00010000800000ff0200" + "00010000800100ff0200"
METHODS = "02" + "0046000060030aff01" + "0046000060030aff02"
SELECTION = AccessSelection(2, axdr.structure(axdr.unsigned(1)))
PAIR = ((FIRST, None), (SECOND, None))
RELAYS = (RELAY, RELAY._replace(method_id=2))
TIME = bytes.fromhex("07e60b0c0610360000ffc400")

WORKED: list[tuple[str, Any]] = [
    ("c003c1" + NAMES, GetRequestWithList(0xC1, PAIR)),
    (
        "c403c102" + "00" + FIFTY.hex() + "00" + ZEROS.hex(),
        GetResponseWithList(0xC1, (FIFTY, ZEROS)),
    ),
    ("c403c102" + "00" + ZEROS.hex() + "0104", GetResponseWithList(0xC1, (ZEROS, 4))),
    (
        "c402c1000000000100" + "18" + "0200" + FIFTY[:22].hex(),
        GetResponseWithBlock(0xC1, DataBlock(False, 1, bytes.fromhex("0200") + FIFTY[:22])),
    ),
    (
        "c402c1010000000300" + "03" + "303030",
        GetResponseWithBlock(0xC1, DataBlock(True, 3, b"000")),
    ),
    ("c402c101000000020113", GetResponseWithBlock(0xC1, DataBlock(True, 2, b""), 19)),
    (
        "c104c1" + NAMES + "02" + FIFTY.hex() + ZEROS.hex(),
        SetRequestWithList(0xC1, PAIR, (FIFTY, ZEROS)),
    ),
    ("c505c1020000", SetResponseWithList(0xC1, (0, 0))),
    (
        "c105c1" + NAMES + "0000000001" + "03" + "020932",
        SetRequestWithListFirstBlock(0xC1, PAIR, DataBlock(False, 1, b"\x02\x09\x32")),
    ),
    ("c504c102000300000003", SetResponseLastBlockWithList(0xC1, (0, 3), 3)),
    (
        "c303c1" + METHODS + "02" + "0f00" + "00",
        ActionRequestWithList(0xC1, RELAYS, (b"\x0f\x00", b"\x00")),
    ),
    (
        "c305c1" + METHODS + "0100000001" + "04" + "020f0000",
        ActionRequestWithListFirstBlock(0xC1, RELAYS, DataBlock(True, 1, b"\x02\x0f\x00\x00")),
    ),
    (
        "c703c104" + "0000" + "0001000f05" + "000101fa" + "0300",
        ActionResponseWithList(
            0xC1,
            (
                ActionOutcome(0),
                ActionOutcome(0, b"\x0f\x05"),
                ActionOutcome(0, 250),
                ActionOutcome(3),
            ),
        ),
    ),
    (
        "d9c000000100"
        "05"
        "0100010000800000ff02"
        "0200010000800100ff02"
        "030046000060030aff01"
        "0400010000800000ff02" + "02" + "02011101"
        "0500010000800100ff02" + "02" + "02011101"
        "05" + "00" + "0a03303030" + "0f00" + "00" + "1105",
        AccessRequest(
            0xC0000001,
            (
                AccessRequestGet(FIRST),
                AccessRequestSet(SECOND),
                AccessRequestAction(RELAY),
                AccessRequestGet(FIRST, SELECTION),
                AccessRequestSet(SECOND, SELECTION),
            ),
            (b"\x00", ZEROS, b"\x0f\x00", b"\x00", b"\x11\x05"),
        ),
    ),
    (
        "da40000001000003" + ZEROS.hex() + "0000" + "03" + "0100" + "0200" + "0303",
        AccessResponse(
            0x40000001,
            (ZEROS, b"\x00", b"\x00"),
            (
                AccessResult(AccessKind.GET, 0),
                AccessResult(AccessKind.SET, 0),
                AccessResult(AccessKind.ACTION, 3),
            ),
        ),
    ),
    (
        "da500000010c" + TIME.hex() + "01" + "01" + "0100010000800000ff02" + "0100" + "010104",
        AccessResponse(
            0x50000001,
            (b"\x00",),
            (AccessResult(AccessKind.GET, 4),),
            (AccessRequestGet(FIRST),),
            TIME,
        ),
    ),
    ("100000007b00", DataNotificationConfirm(123)),
    ("100000007b0c" + TIME.hex(), DataNotificationConfirm(123, TIME)),
    ("c200" + "00010000800000ff02" + "1105", EventNotification(None, FIRST, b"\x11\x05")),
    (
        "c2010c" + TIME.hex() + "00010000800000ff02" + ZEROS.hex(),
        EventNotification(TIME, FIRST, ZEROS),
    ),
    ("e0400001000002e0c0", GeneralBlockTransfer(False, True, 0, 1, 0, b"\xe0\xc0")),
    ("e0c00003000000", GeneralBlockTransfer(True, True, 0, 3, 0, b"")),
]


@pytest.mark.parametrize(("octets", "expected"), WORKED, ids=lambda each: type(each).__name__)
def test_octets_both_ways(octets: str, expected: Any) -> None:
    assert expected.to_octets().hex() == octets
    read = apdu.parse(bytes.fromhex(octets))
    assert type(read) is type(expected)
    assert read == expected


@pytest.mark.parametrize("octets", [each for each, _ in WORKED if each[:2] != "e0"])
def test_cut_short_or_too_long_is_refused(octets: str) -> None:
    whole = bytes.fromhex(octets)
    for end in range(len(whole)):
        with pytest.raises(DecodeError):
            apdu.parse(whole[:end])
    with pytest.raises(DecodeError):
        apdu.parse(whole + b"\x00")


@settings(deadline=None)
@given(
    head=st.sampled_from([bytes.fromhex(octets)[:3] for octets, _ in WORKED]),
    rest=st.binary(max_size=120),
)
def test_any_octets_end_in_an_apdu_or_a_decode_error(head: bytes, rest: bytes) -> None:
    with suppress(DecodeError):
        read = apdu.parse(head + rest)
        with suppress(LocalError):
            assert apdu.parse(read.to_octets()) == read


@given(at=st.integers(0, 60), octet=st.integers(0, 255), data=st.data())
def test_one_wrong_octet(at: int, octet: int, data: st.DataObject) -> None:
    octets, _ = data.draw(st.sampled_from(WORKED))
    whole = bytearray.fromhex(octets)
    whole[at % len(whole)] = octet
    with suppress(DlmsError):
        apdu.parse(bytes(whole)).to_octets()


def test_counts_beyond_the_octets_are_refused_at_once() -> None:
    for head in ("c003c1", "c104c1", "c303c1", "c703c1", "d9c000000100", "da400000010000"):
        with pytest.raises(DecodeError):
            apdu.parse(bytes.fromhex(head) + b"\x84\xff\xff\xff\xff" + bytes(50))


def test_lists_of_access_must_be_as_long_as_each_other() -> None:
    with pytest.raises(LocalError):
        AccessRequest(1, (AccessRequestGet(FIRST),), ()).to_octets()
    with pytest.raises(DecodeError):
        apdu.parse(bytes.fromhex("d9c000000100010100010000800000ff0200"))


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (ExceptionResponse(1, 2), "exception-response 2 (service-not-supported)"),
        (ExceptionResponse(2, 99), "exception-response 99"),
        (ConfirmedServiceError(1, 6, 3), "initiate: initiate: pdu-size-too-short"),
        (ConfirmedServiceError(5, 5, 1), "read: access: scope-of-access-violated"),
        (ConfirmedServiceError(6, 0, 6), "write: application-reference: deciphering-error"),
        (ConfirmedServiceError(77, 88, 99), "service 77: error kind 88: 99"),
    ],
)
def test_refusals_say_what_they_mean(refusal: Any, text: str) -> None:
    assert apdu.parse(refusal.to_octets()) == refusal
    assert text in str(refusal.error())


def test_a_refused_counter_says_which_is_expected() -> None:
    refusal = apdu.parse(bytes.fromhex("d801060000012c"))
    assert isinstance(refusal, ExceptionResponse)
    error = refusal.error()
    assert isinstance(error, InvocationCounterError)
    assert error.expected == 300
    assert str(refusal) == "service-not-allowed: invocation-counter-error"
