"""A-XDR: the encoding of COSEM data (IEC 61334-6; the `Data` type of IEC 62056-5-3, clause 8).

Every value is one tag octet and its contents. Fixed-size types follow at once, the others carry a
length (one octet below 0x80, else 0x80+n and n octets, as in BER). Arrays and structures carry a
count and then whole tagged values; a compact-array carries one type description and then values
without tags.

Decoding never trusts a count: nesting stops at 16 levels, a count may not exceed the octets that
are left, a compact-array may not unfold into more values than its octets justify, and no whole has
more than a million. So decoding takes linear time and bounded memory on anything, and raises
nothing but `DecodeError`.
"""

from hesper_dlms.axdr.codec import MAX_DEPTH, decode, decode_prefix, encode
from hesper_dlms.axdr.data import (
    BitString,
    Data,
    Tag,
    Value,
    array,
    bit_string,
    boolean,
    compact_array,
    date_time,
    double_long,
    double_long_unsigned,
    enum,
    float32,
    float64,
    integer,
    long64,
    long64_unsigned,
    long_,
    long_unsigned,
    null_data,
    octet_string,
    structure,
    unsigned,
    utf8_string,
    visible_string,
)
from hesper_dlms.axdr.octets import Budget, read_length, read_octets, write_length
from hesper_dlms.axdr.plain import plain

__all__ = [
    "MAX_DEPTH",
    "BitString",
    "Budget",
    "Data",
    "Tag",
    "Value",
    "array",
    "bit_string",
    "boolean",
    "compact_array",
    "date_time",
    "decode",
    "decode_prefix",
    "double_long",
    "double_long_unsigned",
    "encode",
    "enum",
    "float32",
    "float64",
    "integer",
    "long64",
    "long64_unsigned",
    "long_",
    "long_unsigned",
    "null_data",
    "octet_string",
    "plain",
    "read_length",
    "read_octets",
    "structure",
    "unsigned",
    "utf8_string",
    "visible_string",
    "write_length",
]
