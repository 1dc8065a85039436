"""Byte-exact APDUs of short names, both ways."""

from __future__ import annotations

import pytest
from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import (
    BlockNumber,
    BlockNumberAccess,
    DataBlockResult,
    ParameterizedAccess,
    ReadDataBlockAccess,
    VariableName,
    WriteBlockNumber,
    WriteDataBlockAccess,
    Written,
)
from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError
from hypothesis import given
from hypothesis import strategies as st

ENTRIES = apdu.EntrySelector(1, 2, 1, 0).to_selection()
BEGIN, END = "07e80101ff00000000000000", "07e80102ff00000000000000"
CLOCK = obis.CLOCK.hex()
RANGE = apdu.RangeSelector(
    CosemDateTime.from_octets(bytes.fromhex(BEGIN)),
    CosemDateTime.from_octets(bytes.fromhex(END)),
).to_selection()

TABLE = [
    # a register's value, as gurux asks for it; the logical device name, as hdlc-translator has it
    ("0501020108", apdu.ReadRequest((VariableName(0x0108),))),
    ("050102fd08", apdu.ReadRequest((VariableName(0xFD08),))),
    ("050202010802fd08", apdu.ReadRequest((VariableName(0x0108), VariableName(0xFD08)))),
    # a profile by entry and by range, as gurux asks for them
    (
        "050104040802020406000000010600000002120001120000",
        apdu.ReadRequest((ParameterizedAccess(0x0408, 2, ENTRIES.parameters),)),
    ),
    (
        f"050104040801020402041200080906{CLOCK}0f02120000090c{BEGIN}090c{END}0100",
        apdu.ReadRequest((ParameterizedAccess(0x0408, 1, RANGE.parameters),)),
    ),
    ("0501050003", apdu.ReadRequest((BlockNumberAccess(3),))),
    ("05010600000102abcd", apdu.ReadRequest((ReadDataBlockAccess(False, 1, b"\xab\xcd"),))),
    ("0c010006001234ff", apdu.ReadResponse((bytes.fromhex("06001234ff"),))),
    ("0c02000f05010b", apdu.ReadResponse((b"\x0f\x05", 11))),
    ("0c010103", apdu.ReadResponse((3,))),
    ("0c0102010002021122", apdu.ReadResponse((DataBlockResult(True, 2, b"\x11\x22"),))),
    ("0c01030001", apdu.ReadResponse((BlockNumber(1),))),
    # the logical device name, as gurux writes it
    (
        "060102fd08010903616263",
        apdu.WriteRequest(Written((VariableName(0xFD08),), (b"\x09\x03abc",))),
    ),
    (
        "0601070100020109020011",
        apdu.WriteRequest(Written((WriteDataBlockAccess(True, 2),), (b"\x09\x02\x00\x11",))),
    ),
    (
        "160102200801 0f00".replace(" ", ""),
        apdu.UnconfirmedWriteRequest(Written((VariableName(0x2008),), (b"\x0f\x00",))),
    ),
    ("0d0100", apdu.WriteResponse((0,))),
    ("0d03000103020007", apdu.WriteResponse((0, 3, WriteBlockNumber(7)))),
    (
        "18000102010801060000002a",
        apdu.InformationReport(None, Written((VariableName(0x0108),), (b"\x06\x00\x00\x00\x2a",))),
    ),
    (
        "18010f32303236313132313034303030305a0102010801 0f01".replace(" ", ""),
        apdu.InformationReport(
            b"20261121040000Z", Written((VariableName(0x0108),), (b"\x0f\x01",))
        ),
    ),
]


@pytest.mark.parametrize(("octets", "expected"), TABLE)
def test_table(octets: str, expected: apdu.Apdu) -> None:
    assert apdu.parse(bytes.fromhex(octets)) == expected
    assert expected.to_octets().hex() == octets


@pytest.mark.parametrize(("octets", "expected"), TABLE)
def test_every_cut_and_every_surplus_is_a_decode_error(octets: str, expected: apdu.Apdu) -> None:
    whole = bytes.fromhex(octets)
    value_alone = isinstance(expected, apdu.ReadResponse) and octets.startswith("0c0100")
    for end in range(len(whole)):
        if value_alone and end >= 3:
            continue  # a single value is checked when it is decoded
        with pytest.raises(DecodeError):
            apdu.parse(whole[:end])
    if not value_alone:
        with pytest.raises(DecodeError):
            apdu.parse(whole + b"\x00")


@pytest.mark.parametrize("octets", ["0501030108", "0501", "05ff0201", "0c0104", "0c0201", "0d0103"])
def test_what_cosem_does_not_use_is_refused(octets: str) -> None:
    with pytest.raises(DecodeError):
        apdu.parse(bytes.fromhex(octets))


@given(st.sampled_from([0x05, 0x06, 0x0C, 0x0D, 0x16, 0x18]), st.binary(max_size=60))
def test_any_octets_parse_or_are_refused(tag: int, octets: bytes) -> None:
    try:
        found = apdu.parse(bytes((tag,)) + octets)
    except DecodeError:
        return
    again = apdu.parse(found.to_octets())
    assert again == found


def test_the_aarq_of_the_green_book() -> None:
    """Green Book, 11.4: AARQ with short names, no authentication; the same as gurux sends."""
    initiate = apdu.InitiateRequest(apdu.Conformance(0x1C0320), 0xFFFF)
    context = apdu.ApplicationContext.of(Referencing.SHORT_NAME, ciphered=False)
    aarq = apdu.Aarq(context, initiate.to_octets(), Authentication.NONE)
    expected = "601da109060760857405080102be10040e01000000065f1f04001c0320ffff"
    assert aarq.to_octets().hex() == expected
    assert apdu.parse(bytes.fromhex(expected)) == aarq


def test_the_aare_of_a_short_name_meter() -> None:
    """Green Book, 11.4: the accepting AARE; vaa-name is 0xFA00."""
    octets = bytes.fromhex(
        "6129a109060760857405080102a203020100a305a103020100be10040e0800065f1f04001c0320020cfa00"
    )
    aare = apdu.parse(octets)
    assert isinstance(aare, apdu.Aare)
    granted = apdu.parse(aare.user_information or b"")
    assert isinstance(granted, apdu.InitiateResponse)
    assert (granted.vaa_name, granted.max_receive_pdu_size) == (0xFA00, 0x020C)
    assert granted.conformance & apdu.SHORT_NAME_SERVICES == granted.conformance


def test_a_written_octet_string_is_any_data() -> None:
    data = axdr.structure(axdr.octet_string(obis.CLOCK), axdr.unsigned(1))
    written = Written((VariableName(8),), (axdr.encode(data),))
    assert Written.from_octets(written.to_octets()) == written
