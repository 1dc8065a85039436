"""What SNRM and UA agree on (IEC 62056-46, 6.4.4.4.3.2): information field sizes, windows."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.hdlc.frames import MAX_LENGTH

_FORMAT = 0x81
_GROUP = 0x80
_MAX_TRANSMIT, _MAX_RECEIVE, _WINDOW_TRANSMIT, _WINDOW_RECEIVE = 5, 6, 7, 8

DEFAULT_INFORMATION = 128
LARGEST_WINDOW = 7
LARGEST_INFORMATION = MAX_LENGTH - (2 + 4 + 4 + 1 + 2 + 2)
SMALLEST_INFORMATION = 8
"""Less cannot carry the LLC header and some of an APDU: refuse to loop over crumbs."""


class LinkParameters(NamedTuple):
    """Sizes in octets, windows in frames, from the point of view of who says them."""

    max_transmit: int = DEFAULT_INFORMATION
    max_receive: int = DEFAULT_INFORMATION
    window_transmit: int = 1
    window_receive: int = 1

    def to_octets(self) -> bytes:
        """Encode the information field of an SNRM or UA frame.

        Sizes take one octet where they fit, as in the standard's example: some meters know no other
        form of theirs.
        """
        items = b""
        for identifier, size, value in (
            (_MAX_TRANSMIT, 1 if self.max_transmit < 0x100 else 2, self.max_transmit),
            (_MAX_RECEIVE, 1 if self.max_receive < 0x100 else 2, self.max_receive),
            (_WINDOW_TRANSMIT, 4, self.window_transmit),
            (_WINDOW_RECEIVE, 4, self.window_receive),
        ):
            if not 0 <= value < 1 << 8 * size:
                raise LocalError(f"{value} does not fit an HDLC parameter of {size} octets")
            items += bytes((identifier, size)) + value.to_bytes(size, "big")
        return bytes((_FORMAT, _GROUP, len(items))) + items


def parse_parameters(information: bytes) -> LinkParameters:
    """Decode the information field of SNRM or UA; an empty one means the defaults.

    Raises:
        DecodeError: It is no parameter list, or a size is absurd.
    """
    if not information:
        return LinkParameters()
    if len(information) < 3 or information[:2] != bytes((_FORMAT, _GROUP)):
        raise DecodeError("HDLC parameters do not begin with 81 80", 0)
    if information[2] != len(information) - 3:
        raise DecodeError("HDLC parameters have a wrong group length", 2)
    values = {_MAX_TRANSMIT: 128, _MAX_RECEIVE: 128, _WINDOW_TRANSMIT: 1, _WINDOW_RECEIVE: 1}
    at = 3
    while at < len(information):
        item = information[at : at + 2]
        if len(item) < 2 or len(information) < at + 2 + item[1]:
            raise DecodeError("an HDLC parameter is cut short", at)
        values[item[0]] = int.from_bytes(information[at + 2 : at + 2 + item[1]], "big")
        at += 2 + item[1]
    if min(values[_MAX_TRANSMIT], values[_MAX_RECEIVE]) < SMALLEST_INFORMATION:
        raise DecodeError("HDLC information fields of this size cannot carry DLMS")
    return LinkParameters(
        min(values[_MAX_TRANSMIT], LARGEST_INFORMATION),
        min(values[_MAX_RECEIVE], LARGEST_INFORMATION),
        values[_WINDOW_TRANSMIT],
        values[_WINDOW_RECEIVE],
    )


def agree(ours: LinkParameters, theirs: LinkParameters) -> LinkParameters:
    """Return what we may send and what we accept, given what both sides said about themselves."""
    return LinkParameters(
        min(ours.max_transmit, theirs.max_receive),
        min(ours.max_receive, theirs.max_transmit),
        max(1, min(ours.window_transmit, theirs.window_receive, LARGEST_WINDOW)),
        max(1, min(ours.window_receive, theirs.window_transmit, LARGEST_WINDOW)),
    )
