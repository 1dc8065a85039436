"""Keeps what passes over a line for as long as somebody wants to see it; bounded, and no longer.

What one side sends before the other does is one utterance, however many pieces it arrived in. One
that does not fit any more is counted without its octets: a piece of it could not be explained, nor
could anybody tell which secret it holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hesper_gateway.lines.channel import Channel

What = Literal["sent", "received", "note"]


@dataclass(slots=True)
class Heard:
    """One utterance, or a note about the line (``text``).

    Attributes:
        at: When its first octet was sent or had arrived, epoch s.
        octets: None where they did not fit.
        octet_count: How many they were.
    """

    at: float
    what: What
    octets: bytes | None = b""
    octet_count: int = 0
    text: str = ""


class Recorder:
    """Hears what passes over channels that it was put before.

    Args:
        now: Epoch seconds, UTC.
        most: How many utterances are kept, …
        octets_most: … and how many octets of them.

    Attributes:
        heard: In order.
        count: All of them, kept or not.
        octets_sent: All that went to the meter.
        octets_received: All that came from it.
    """

    def __init__(self, now: Callable[[], float], most: int, octets_most: int) -> None:
        self._now = now
        self._most = most
        self._room = octets_most
        self.heard: list[Heard] = []
        self.count = 0
        self.octets_sent = 0
        self.octets_received = 0
        self._last: Heard | None = None

    @property
    def is_full(self) -> bool:
        """Whether something did not fit."""
        return self.count > len(self.heard) or any(each.octets is None for each in self.heard)

    def before(self, channel: Channel) -> Channel:
        """Return the channel, overheard."""
        self.note("the line is open")
        return _Overheard(channel, self)

    def note(self, text: str) -> None:
        """Note something about the line; the same again is no news."""
        if self._last is None or self._last.text != text:
            self._keep("note", b"", text)

    def sent(self, octets: bytes) -> None:
        """Hear us."""
        self.octets_sent += len(octets)
        self._keep("sent", octets)

    def received(self, octets: bytes) -> None:
        """Hear the meter; further pieces belong to what it was saying."""
        self.octets_received += len(octets)
        last = self._last
        if last is None or last.what != "received":
            self._keep("received", octets)
            return
        last.octet_count += len(octets)
        if last.octets is None:
            return
        if len(octets) > self._room:
            self._room += len(last.octets)
            last.octets = None
        else:
            self._room -= len(octets)
            last.octets += octets

    def _keep(self, what: What, octets: bytes, text: str = "") -> None:
        self.count += 1
        is_kept = self.count <= self._most
        fits = is_kept and len(octets) <= self._room
        self._last = Heard(self._now(), what, octets if fits else None, len(octets), text)
        if is_kept:
            self.heard.append(self._last)
        if fits:
            self._room -= len(octets)


class _Overheard:
    """Implements `Channel`."""

    def __init__(self, channel: Channel, recorder: Recorder) -> None:
        self._channel = channel
        self._recorder = recorder

    async def read(self, timeout_s: float) -> bytes:
        octets = await self._channel.read(timeout_s)
        if octets:
            self._recorder.received(octets)
        else:
            self._recorder.note(f"nothing arrived for {timeout_s:g} s")
        return octets

    async def write(self, octets: bytes, timeout_s: float) -> None:
        self._recorder.sent(octets)
        await self._channel.write(octets, timeout_s)

    async def release(self, broken: bool) -> None:
        self._recorder.note("the line is closed")
        await self._channel.release(broken)
