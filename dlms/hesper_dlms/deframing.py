"""Whole APDUs out of a stream that only comes towards us: pushes over HDLC, M-Bus, wrapper, or raw.

A deframer takes octets in any chunks and gives pieces (an APDU and what is known about its frames)
and drops (what cannot become an APDU, and why). `finish` says that no more octets come, or that the
line has been silent: whatever was waiting for its rest is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from hesper_dlms.errors import DecodeError, LinkError, LocalError
from hesper_dlms.hdlc import llc
from hesper_dlms.hdlc.frames import BadHeader, Frame, FrameReader, Kind
from hesper_dlms.hdlc.reassembly import Reassembly
from hesper_dlms.mbus import MbusAssembly, MbusFrame, MbusReader
from hesper_dlms.wrapper import WrapperFrame, WrapperReader

_MAX_STATIONS = 256


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What the frames of one message were like; None where the link has no such thing.

    `offset` counts octets from the first one ever received to where the message begins. Addresses
    are octets as they were on the line.
    """

    offset: int
    frames: int | None = None
    destination: bytes | None = None
    source: bytes | None = None
    fcs: bool | None = None
    hcs: bool | None = None
    checksum: bool | None = None

    @property
    def intact(self) -> bool:
        """Whether no check sequence was wrong: what is not intact must never be stored."""
        return False not in (self.fcs, self.hcs, self.checksum)

    def to_json(self) -> dict[str, object]:
        """Return what is known in plain JSON."""
        shown: dict[str, object] = {}
        for name in ("fcs", "hcs", "frames", "destination", "source", "checksum"):
            value = getattr(self, name)
            if value is not None:
                shown[name] = value.hex() if isinstance(value, bytes) else value
        return shown

    def join(self, later: LinkFacts) -> LinkFacts:
        """Return the facts of a message that goes on in later frames."""
        return replace(
            self,
            frames=None if self.frames is None else self.frames + (later.frames or 0),
            fcs=None if self.fcs is None else self.fcs and bool(later.fcs),
            checksum=None if self.checksum is None else self.checksum and bool(later.checksum),
        )


class Piece(NamedTuple):
    """One APDU, or one block of general block transfer."""

    apdu: bytes
    facts: LinkFacts


@dataclass(frozen=True, slots=True)
class Dropped:
    """Octets that did not become a message."""

    offset: int
    reason: str


Found = Piece | Dropped


class Deframer(Protocol):
    """Finds APDUs in a stream."""

    def receive(self, octets: bytes) -> list[Found]:
        """Take octets in, return what is complete now, in order."""
        ...

    def finish(self) -> list[Found]:
        """Give up what waits for its rest."""
        ...


class _Segments:
    """The segments of one station's message."""

    def __init__(self) -> None:
        self.parts = Reassembly()
        self.facts: LinkFacts | None = None

    def add(self, frame: Frame) -> list[Found]:
        found: list[Found] = []
        if frame.information[:3] in (llc.REQUEST, llc.RESPONSE):
            found = self.cut_short()
        facts = LinkFacts(frame.offset, 1, frame.destination, frame.source, frame.fcs_right, True)
        self.facts = facts = facts if self.facts is None else self.facts.join(facts)
        try:
            whole = self.parts.add(frame.information, frame.segmented)
        except LinkError as error:
            self.facts = None
            return [*found, Dropped(facts.offset, str(error))]
        if whole is None:
            return found
        self.facts = None
        return [*found, Piece(llc.strip(whole), facts)]

    def cut_short(self) -> list[Found]:
        facts, self.facts = self.facts, None
        self.parts.clear()
        if facts is None:
            return []
        return [Dropped(facts.offset, "HDLC segments cut short: whole message dropped")]


class HdlcDeframer:
    """APDUs in UI and I frames, segmented or not, from any number of stations."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._stations: dict[tuple[bytes, bytes], _Segments] = {}

    def receive(self, octets: bytes) -> list[Found]:
        """Take octets in, return what is complete now."""
        frames = self._reader.receive(octets)
        found: list[Found] = []
        seen: list[Frame | BadHeader] = [*frames, *self._reader.bad_headers]
        for each in sorted(seen, key=lambda each: each.offset):
            if isinstance(each, Frame):
                found += self._take(each)
            else:
                found.append(Dropped(each.offset, "HDLC header check sequence is wrong"))
        return found

    def finish(self) -> list[Found]:
        """Give up frames and segments that wait for their rest."""
        found = _waiting(self._reader.waiting, "HDLC frame")
        found += [each for frame in self._reader.idle() for each in self._take(frame)]
        for station in self._stations.values():
            found += station.cut_short()
        self._stations.clear()
        return found

    def _take(self, frame: Frame) -> list[Found]:
        if frame.kind not in (Kind.UI, Kind.I) or not frame.information:
            return []
        name = frame.source, frame.destination
        if name not in self._stations and len(self._stations) >= _MAX_STATIONS:
            self._stations.clear()
        return self._stations.setdefault(name, _Segments()).add(frame)


class MbusDeframer:
    """APDUs in the numbered parts of M-Bus long frames."""

    def __init__(self) -> None:
        self._reader = MbusReader()
        self._assembly = MbusAssembly()
        self._skipping = False

    def receive(self, octets: bytes) -> list[Found]:
        """Take octets in, return what is complete now."""
        return [each for frame in self._reader.receive(octets) for each in self._take(frame)]

    def finish(self) -> list[Found]:
        """Give up frames and parts that wait for their rest."""
        waiting, frames = self._reader.waiting, self._reader.idle()
        cut_short = all(frame.offset != waiting for frame in frames)
        found = _waiting(waiting, "M-Bus frame") if cut_short else []
        found += [each for frame in frames for each in self._take(frame)]
        found += self._cut_short()
        self._assembly = MbusAssembly()
        return found

    def _cut_short(self) -> list[Found]:
        first = self._assembly.first
        if first is None:
            return []
        return [Dropped(first.offset, "M-Bus parts cut short: whole message dropped")]

    def _take(self, frame: MbusFrame) -> list[Found]:
        found: list[Found] = []
        if frame.number == 0:
            self._skipping = False
            found = self._cut_short()
        elif self._skipping:
            return []
        first = self._assembly.first or frame
        try:
            parts = self._assembly.add(frame)
        except DecodeError as error:
            self._skipping = True
            return [Dropped(first.offset, str(error))]
        if parts is None:
            return found
        intact = all(part.checksum_right for part in parts)
        apdu = b"".join(part.part for part in parts)
        return [*found, Piece(apdu, LinkFacts(parts[0].offset, checksum=intact))]


class WrapperDeframer:
    """APDUs behind wrapper headers."""

    def __init__(self) -> None:
        self._reader = WrapperReader(resynchronise=True)

    def receive(self, octets: bytes) -> list[Found]:
        """Take octets in, return what is complete now."""
        return [self._piece(frame) for frame in self._reader.receive(octets)]

    def finish(self) -> list[Found]:
        """Give up an APDU that waits for its rest."""
        found = _waiting(self._reader.waiting, "wrapper APDU")
        return found + [self._piece(frame) for frame in self._reader.idle()]

    @staticmethod
    def _piece(frame: WrapperFrame) -> Found:
        source, destination = (
            number.to_bytes(2, "big") for number in (frame.source, frame.destination)
        )
        return Piece(frame.apdu, LinkFacts(frame.offset, source=source, destination=destination))


class RawDeframer:
    """APDUs without framing: each call brings exactly one, as a datagram does."""

    def __init__(self) -> None:
        self._consumed = 0

    def receive(self, octets: bytes) -> list[Found]:
        """Take one APDU."""
        offset = self._consumed
        self._consumed += len(octets)
        return [Piece(octets, LinkFacts(offset))] if octets else []

    def finish(self) -> list[Found]:
        """Nothing waits here."""
        return []


def _waiting(offset: int | None, what: str) -> list[Found]:
    return [] if offset is None else [Dropped(offset, f"{what} cut short")]


_DEFRAMERS: dict[str, type[HdlcDeframer | MbusDeframer | WrapperDeframer | RawDeframer]] = {
    "hdlc": HdlcDeframer,
    "mbus": MbusDeframer,
    "wrapper": WrapperDeframer,
    "raw": RawDeframer,
}
LINKS = tuple(_DEFRAMERS)


def deframer(link: str) -> Deframer:
    """Return a new deframer for `hdlc`, `mbus`, `wrapper` or `raw`."""
    if link not in _DEFRAMERS:
        raise LocalError(f"no link is called {link}: {', '.join(LINKS)}")
    return _DEFRAMERS[link]()
