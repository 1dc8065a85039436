"""A caller's stream: whole wrapped APDUs, and the heartbeats of its modem between them.

Some modems send a few octets now and then to keep their connection open, outside of any protocol.
They are swallowed where an APDU could begin, and nowhere else: within an APDU the same octets are
the meter's.
"""

from collections.abc import Sequence

from hesper_dlms.wrapper import HEADER_OCTETS

from hesper_gateway.errors import LineDown

_VERSION = b"\x00\x01"


class WholeFrames:
    """Gives whole wrapped APDUs, each with its header.

    Args:
        heartbeats: What to swallow; of several that fit, the first.
    """

    def __init__(self, heartbeats: Sequence[bytes] = ()) -> None:
        self._heartbeats = heartbeats
        self._held = bytearray()
        self.heartbeats_count = 0

    def receive(self, octets: bytes) -> list[bytes]:
        """Take octets in, return the APDUs that are complete now.

        Raises:
            LineDown: what comes is neither an APDU nor a heartbeat; the place is lost.
        """
        self._held += octets
        frames: list[bytes] = []
        while self._held and not self._may_grow():
            if not self._swallow():
                if not self._held.startswith(_VERSION):
                    raise LineDown("neither an APDU in the wrapper nor a heartbeat")
                end = self._end_of_frame()
                if end is None:
                    break
                frames.append(bytes(self._held[:end]))
                del self._held[:end]
        return frames

    def _may_grow(self) -> bool:
        """Whether what is held is only the beginning of a heartbeat or a header."""
        return any(
            len(self._held) < len(each) and each.startswith(self._held)
            for each in (*self._heartbeats, _VERSION)
        )

    def _swallow(self) -> bool:
        for each in self._heartbeats:
            an_apdu = _VERSION.startswith(each) and self._held.startswith(_VERSION)
            if self._held.startswith(each) and not an_apdu:
                del self._held[: len(each)]
                self.heartbeats_count += 1
                return True
        return False

    def _end_of_frame(self) -> int | None:
        if len(self._held) < HEADER_OCTETS:
            return None
        end = HEADER_OCTETS + int.from_bytes(self._held[6:HEADER_OCTETS], "big")
        return end if len(self._held) >= end else None
