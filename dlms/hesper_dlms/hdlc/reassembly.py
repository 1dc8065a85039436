"""Puts the segments of one direction together (the segmentation bit of the format field)."""

from __future__ import annotations

from hesper_dlms.errors import LinkError

MAX_APDU = 1 << 20
"""More than any meter sends in one APDU; a peer that goes on beyond it is cut off."""


class Reassembly:
    """Collects information fields until the one without the segmentation bit."""

    __slots__ = ("_parts", "_size", "frames")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.frames = 0

    @property
    def pending(self) -> bool:
        """Whether segments wait for their last one."""
        return bool(self._parts)

    def clear(self) -> None:
        """Forget what was collected."""
        self._parts.clear()
        self._size = 0
        self.frames = 0

    def add(self, information: bytes, more: bool) -> bytes | None:
        """Take one information field; return the whole when it was the last.

        Raises:
            LinkError: The whole grows beyond MAX_APDU; what was collected is forgotten.
        """
        self._parts.append(information)
        self._size += len(information)
        if self._size > MAX_APDU or len(self._parts) > MAX_APDU // 8:
            self.clear()
            raise LinkError("segments add up to more than an APDU may hold")
        self.frames = len(self._parts)
        if more:
            return None
        whole = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return whole


def segments(octets: bytes, size: int) -> list[bytes]:
    """Cut `octets` into information fields of at most `size`; at least one, even if empty."""
    return [octets[at : at + size] for at in range(0, len(octets), size)] or [b""]
