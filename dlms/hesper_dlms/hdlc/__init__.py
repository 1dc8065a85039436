"""HDLC for DLMS/COSEM (IEC 62056-46; DLMS UA Green Book, clause 8)."""

from hesper_dlms.hdlc.frames import Frame, FrameReader, Kind
from hesper_dlms.hdlc.link import HdlcLink

__all__ = ["Frame", "FrameReader", "HdlcLink", "Kind"]
