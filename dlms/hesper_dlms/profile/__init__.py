"""The buffer of a profile generic as columns, and back (Blue Book, class 7; Green Book, 9.5).

A buffer is an array of structures, one per capture, whose columns nearly always keep their types.
So decoding learns a row's layout from its octets once, finds out how many rows follow with the same
layout by comparing strided slices (every tag and length of every row is looked at), and takes the
whole run out column by column. A compact-array names its layout itself and goes the same way. A row
that is not flat goes through the generic A-XDR decoder and gives the same result.

Null-data means: in the clock's column one capture period after the row before (before it, where the
newest row comes first), in any other column the value of the row before, or padding where a meter
is known to mean that. A delta type adds to the value before. Rows whose clock names no instant are
left out and counted. In the doubled hour of autumn the order of the rows decides where the clock
does not (`cosem_time`), and where it never has the daylight-saving bit (`doubled_hour`), together
with the time at which the buffer was read.
"""

from hesper_dlms.profile.columns import ProfileColumns
from hesper_dlms.profile.decoder import decode_buffer
from hesper_dlms.profile.doubled_hour import doubled_around
from hesper_dlms.profile.encoder import clock_octets, encode_buffer
from hesper_dlms.profile.rows import row_width
from hesper_dlms.profile.rules import BufferRules

__all__ = [
    "BufferRules",
    "ProfileColumns",
    "clock_octets",
    "decode_buffer",
    "doubled_around",
    "encode_buffer",
    "row_width",
]
