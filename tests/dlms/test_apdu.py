"""APDUs: worked octets both ways, what real meters bend, and hostile octets."""

from contextlib import suppress

import pytest
from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import (
    Aare,
    Aarq,
    AccessSelection,
    ActionRequestBlock,
    ActionRequestFirstBlock,
    ActionRequestNextBlock,
    ActionRequestNormal,
    ActionResponseBlock,
    ActionResponseNextBlock,
    ActionResponseNormal,
    Ciphered,
    ConfirmedServiceError,
    Conformance,
    CosemAttribute,
    CosemMethod,
    DataBlock,
    DataNotification,
    EntrySelector,
    EventNotification,
    ExceptionResponse,
    GeneralBlockTransfer,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithBlock,
    GetResponseWithList,
    InitiateRequest,
    InitiateResponse,
    RangeSelector,
    Rlre,
    Rlrq,
    SetRequestBlock,
    SetRequestFirstBlock,
    SetRequestNormal,
    SetRequestWithList,
    SetResponseBlock,
    SetResponseLastBlock,
    SetResponseNormal,
    SetResponseWithList,
    selector_of,
)
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import (
    AssociationRejected,
    DecodeError,
    InvocationCounterError,
    LocalError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

CLOCK = CosemAttribute(8, obis.CLOCK, 2)
RELAY = CosemMethod(70, obis.DISCONNECT_CONTROL, 1)
FIVE = axdr.encode(axdr.unsigned(5))
BLOCK = DataBlock(True, 2, b"\x01\x02\x03")
SELECTION = AccessSelection(1, axdr.structure(axdr.unsigned(1)))
TIME = bytes.fromhex("07e60b0c0610360000ffc400")

INITIATE = "01000000065f1f0400007e1f04b0"
AARQ_NONE = "601d" + "a109060760857405080101" + "be10040e" + INITIATE
AARQ_LOW = (
    "6036a1090607608574050801018a0207808b0760857405080201ac0a80083132333435363738be10040e"
    + INITIATE
)
AARE_ACCEPTED = (
    "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f0400007c1f04000007"
)
AARE_BARE_REJECTION = (
    "6120" + "a109060760857405080101" + "a203020101" + "a305a10302010d" + "890760857405080201"
)

WORKED = [
    (AARQ_NONE, Aarq(1, bytes.fromhex(INITIATE))),
    (AARQ_LOW, Aarq(1, bytes.fromhex(INITIATE), 1, b"12345678")),
    (AARE_ACCEPTED, Aare(1, 0, 0, bytes.fromhex("0800065f1f0400007c1f04000007"))),
    ("6203800100", Rlrq()),
    ("6303800100", Rlre()),
    ("6200", Rlrq(None)),
    (INITIATE, InitiateRequest(Conformance(0x007E1F), 1200)),
    ("0800065f1f0400007c1f04000007", InitiateResponse(Conformance(0x007C1F), 1024)),
    ("c001c100080000010000ff0200", GetRequestNormal(0xC1, CLOCK)),
    ("c001c100080000010000ff020101020111" + "01", GetRequestNormal(0xC1, CLOCK, SELECTION)),
    ("c002c100000001", GetRequestNext(0xC1, 1)),
    ("c003c10100080000010000ff0200", GetRequestWithList(0xC1, ((CLOCK, None),))),
    ("c401c1001105", GetResponseNormal(0xC1, FIVE)),
    ("c401c10103", GetResponseNormal(0xC1, 3)),
    ("c402c101000000020003010203", GetResponseWithBlock(0xC1, BLOCK)),
    ("c402c10100000002010f", GetResponseWithBlock(0xC1, DataBlock(True, 2, b""), 15)),
    ("c403c1020011050104", GetResponseWithList(0xC1, (FIVE, 4))),
    ("c101c100080000010000ff02001105", SetRequestNormal(0xC1, CLOCK, FIVE)),
    (
        "c102c100080000010000ff0200010000000203010203",
        SetRequestFirstBlock(0xC1, CLOCK, BLOCK),
    ),
    ("c103c1010000000203010203", SetRequestBlock(0xC1, BLOCK)),
    (
        "c104c10100080000010000ff0200011105",
        SetRequestWithList(0xC1, ((CLOCK, None),), (FIVE,)),
    ),
    ("c501c100", SetResponseNormal(0xC1, 0)),
    ("c502c100000002", SetResponseBlock(0xC1, 2)),
    ("c503c10300000002", SetResponseLastBlock(0xC1, 3, 2)),
    ("c505c1020003", SetResponseWithList(0xC1, (0, 3))),
    ("c301c1004600006003" + "0aff01011105", ActionRequestNormal(0xC1, RELAY, FIVE)),
    ("c301c10046000060030aff0100", ActionRequestNormal(0xC1, RELAY)),
    ("c302c100000002", ActionRequestNextBlock(0xC1, 2)),
    (
        "c304c10046000060030aff01010000000203010203",
        ActionRequestFirstBlock(0xC1, RELAY, BLOCK),
    ),
    ("c306c1010000000203010203", ActionRequestBlock(0xC1, BLOCK)),
    ("c701c10000", ActionResponseNormal(0xC1, 0)),
    ("c701c10001001105", ActionResponseNormal(0xC1, 0, FIVE)),
    ("c701c103010104", ActionResponseNormal(0xC1, 3, 4)),
    ("c702c1010000000203010203", ActionResponseBlock(0xC1, BLOCK)),
    ("c704c100000002", ActionResponseNextBlock(0xC1, 2)),
    ("0f00000001001105", DataNotification(1, None, FIVE)),
    ("0f000000010c" + TIME.hex() + "1105", DataNotification(1, TIME, FIVE)),
    ("c20000080000010000ff021105", EventNotification(None, CLOCK, FIVE)),
    ("c2010c" + TIME.hex() + "00080000010000ff021105", EventNotification(TIME, CLOCK, FIVE)),
    ("d80101", ExceptionResponse(1, 1)),
    ("d802060000002a", ExceptionResponse(2, 6, 42)),
    ("0e010600", ConfirmedServiceError(1, 6, 0)),
    ("e0c30001000203010203", GeneralBlockTransfer(True, True, 3, 1, 2, b"\x01\x02\x03")),
    ("c80730000000010a0b", Ciphered(0xC8, 0x30, 1, b"\x0a\x0b")),
    ("db08" + "41" * 8 + "0730000000010a0b", Ciphered(0xDB, 0x30, 1, b"\x0a\x0b", b"A" * 8)),
]
IDS = [f"{type(record).__name__}-{index}" for index, (_, record) in enumerate(WORKED)]


@pytest.mark.parametrize(("octets", "record"), WORKED, ids=IDS)
def test_worked_octets_both_ways(octets: str, record: apdu.Apdu) -> None:
    assert record.to_octets().hex() == octets
    assert apdu.parse(bytes.fromhex(octets)) == record
    assert type(record).from_octets(bytes.fromhex(octets)) == record


@pytest.mark.parametrize(("octets", "record"), WORKED, ids=IDS)
def test_cut_short_or_too_long_is_refused(octets: str, record: apdu.Apdu) -> None:
    whole = bytes.fromhex(octets)
    open_ended = isinstance(record, DataNotification | GetResponseNormal)
    for cut in range(len(whole)):
        try:
            found = apdu.parse(whole[:cut])
        except DecodeError:
            continue
        assert open_ended or type(found) is ActionResponseNormal or found == ExceptionResponse(2, 6)
    if not open_ended:
        with pytest.raises(DecodeError):
            apdu.parse(whole + b"\x00")


@settings(max_examples=500)
@given(st.sampled_from([bytes.fromhex(octets) for octets, _ in WORKED]), st.data())
def test_nothing_but_decode_errors_on_altered_octets(octets: bytes, draw: st.DataObject) -> None:
    changed = bytearray(octets)
    for place in draw.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        changed[place] = draw.draw(st.integers(0, 255))
    with suppress(DecodeError):
        apdu.parse(bytes(changed))


@given(st.binary(max_size=100))
def test_nothing_but_decode_errors_on_noise(octets: bytes) -> None:
    with suppress(DecodeError):
        apdu.parse(octets)


def test_llc_headers_in_front_are_skipped_even_twice() -> None:
    assert apdu.parse(bytes.fromhex("e6e700e6e700d80101")) == ExceptionResponse(1, 1)


def test_a_rejection_may_come_without_user_information() -> None:
    answer = apdu.parse(bytes.fromhex(AARE_BARE_REJECTION))
    assert isinstance(answer, Aare)
    assert answer.user_information is None
    with pytest.raises(AssociationRejected) as caught:
        answer.check()
    assert (caught.value.result, caught.value.diagnostic) == (1, 13)


def test_an_aare_with_challenge_both_ways() -> None:
    answer = Aare(3, 0, 14, b"\x28\x00", 5, b"P6wRJ21F", b"HSPmt\0\0\x01")
    assert Aare.from_octets(answer.to_octets()) == answer
    assert answer.needs_challenge
    provider = Aare(1, 2, 1, from_provider=True)
    assert Aare.from_octets(provider.to_octets()) == provider


def test_an_aarq_of_hls_both_ways_and_silent_about_secrets() -> None:
    request = Aarq(3, b"\x21\x00", 5, b"K56iVagY", b"HSPcl\0\0\x01", 7)
    assert Aarq.from_octets(request.to_octets()) == request
    assert request.ciphered
    assert "K56iVagY" not in repr(request)
    initiate = InitiateRequest(dedicated_key=b"0123456789abcdef")
    assert InitiateRequest.from_octets(initiate.to_octets()) == initiate
    assert "0123456789abcdef" not in repr(initiate)


@pytest.mark.parametrize(
    "octets",
    [
        "600b" + "a109060760857405080101",
        "6016" + "a109060760857405080101" + "a109060760857405090101",
        "610b" + "a109060760857405080101",
        "6000",
    ],
)
def test_associations_that_say_too_little(octets: str) -> None:
    with pytest.raises(DecodeError):
        apdu.parse(bytes.fromhex(octets))


def test_a_date_time_with_the_tag_in_front() -> None:
    assert apdu.parse(bytes.fromhex("0f00000001090c" + TIME.hex() + "1105")) == DataNotification(
        1, TIME, FIVE
    )


def test_an_exception_tells_the_counter_it_wants() -> None:
    error = ExceptionResponse(2, 6, 42).error()
    assert isinstance(error, InvocationCounterError)
    assert error.expected == 42
    assert ExceptionResponse(1, 1).error().name == "operation-not-possible"
    assert apdu.parse(bytes.fromhex("d80206")) == ExceptionResponse(2, 6)
    assert apdu.parse(bytes.fromhex("c701c100")) == ActionResponseNormal(0xC1, 0)


def test_result_codes_have_names() -> None:
    assert str(apdu.access_error(3)) == "data-access-result 3 (read-write-denied)"
    assert str(apdu.action_error(77)) == "action-result 77"


def test_selectors_both_ways() -> None:
    from_, to = (CosemDateTime.from_octets(TIME[:7] + bytes((m,)) + TIME[8:]) for m in (0, 30))
    for selector in (RangeSelector(from_, to), EntrySelector(1, 96), EntrySelector(3)):
        assert selector_of(selector.to_selection()) == selector
    for wrong in (AccessSelection(3, axdr.null_data()), AccessSelection(2, axdr.structure())):
        with pytest.raises(DecodeError):
            selector_of(wrong)


@pytest.mark.parametrize(
    "record",
    [
        GetRequestNext(0xC1, 2**32),
        GetRequestNormal(300, CLOCK),
        GetRequestNormal(1, CosemAttribute(1, b"short", 2)),
        GetRequestNormal(1, CosemAttribute(1, obis.CLOCK, 200)),
        GeneralBlockTransfer(True, True, 64, 1, 2, b""),
        GeneralBlockTransfer(True, True, 1, 70000, 2, b""),
        SetRequestBlock(1, DataBlock(True, -1, b"")),
        Ciphered(0xDB, 0x30, 1, b""),
        InitiateResponse(Conformance(0), 70000),
    ],
)
def test_what_does_not_fit_is_our_mistake(record: apdu.Apdu) -> None:
    with pytest.raises(LocalError):
        record.to_octets()


def test_integers_of_an_association_take_one_octet() -> None:
    with pytest.raises(DecodeError):
        apdu.parse(bytes.fromhex("62048002ffff"))
    negative = bytes.fromhex(
        "6129a109060760857405080101a2030201a30500010000000000000f0e0800065f1f0400005e1f04000007"
    )
    again = apdu.parse(negative).to_octets()
    assert apdu.parse(again).to_octets() == again
