"""Numbers that do not fit their field are refused when they are encoded, never cut."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import AccessSelection, CosemAttribute
from hesper_dlms.axdr import Tag
from hesper_dlms.errors import LocalError
from hesper_dlms.hdlc import HdlcLink
from hesper_dlms.hdlc.parameters import LinkParameters
from hesper_dlms.mbus import long_frames
from hesper_dlms.profile import clock_octets, decode_buffer, encode_buffer
from hesper_dlms.wrapper import wrap

ATTRIBUTE = CosemAttribute(1, bytes(6), 2)
SELECTION = AccessSelection(300, axdr.null_data())
CLOCK = clock_octets(0)


@pytest.mark.parametrize(
    "encode",
    [
        lambda: apdu.GetResponseNormal(0xC1, 300).to_octets(),
        lambda: apdu.GetRequestNormal(0xC1, ATTRIBUTE, SELECTION).to_octets(),
        lambda: apdu.AccessRequest(
            1, (apdu.AccessRequestGet(ATTRIBUTE, SELECTION),), (b"\x00",)
        ).to_octets(),
        lambda: wrap(70_000, 1, b""),
        lambda: wrap(1, -1, b""),
        lambda: long_frames(b"a", source=300),
        lambda: long_frames(b"a", destination=-1),
        lambda: HdlcLink(16, 1, window=0),
        lambda: HdlcLink(16, 1, window=8),
        lambda: LinkParameters(1 << 16).to_octets(),
        lambda: LinkParameters(window_receive=-1).to_octets(),
        lambda: clock_octets(1 << 60),
        lambda: clock_octets(0, 40_000),
        lambda: clock_octets(0, 0, 256),
        lambda: encode_buffer([CLOCK[:-1]], []),
        lambda: encode_buffer([CLOCK], [(Tag.OCTET_STRING, [1])]),
        lambda: axdr.encode(axdr.bit_string("1_0")),
        lambda: axdr.encode(axdr.bit_string("0b1")),
    ],
)
def test_local_error(encode: Callable[[], object]) -> None:
    with pytest.raises(LocalError):
        encode()


@pytest.mark.parametrize("columns", [1, 126, 127, 128, 300])
def test_profiles_of_many_columns_come_back(columns: int) -> None:
    octets = encode_buffer([CLOCK] * 3, [(Tag.UNSIGNED, [1, 2, 3])] * columns, 1)
    found = decode_buffer(octets, 60, 1, UTC)
    assert [found.columns[at] for at in (0, *range(2, columns + 1))] == [[1, 2, 3]] * columns
