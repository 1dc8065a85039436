"""What a few meters remember and most do not: settings written, keys changed, images, lock-outs.

Ten thousand meters share one table; a meter has an entry from the moment that it has something to
remember. What outlives a power cut is journalled by the district before it is entered here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hesper_dlms.classes.keys_and_images import ImageTransferStatus

from hesper_sim.load import Energy

AttributeKey = tuple[int, bytes, int]
"""Class, logical name, attribute."""


@dataclass(slots=True)
class Image:
    """An image on its way into a meter; `blocks` holds what has arrived, by number from 0."""

    identifier: bytes
    size: int
    block_size: int
    status: ImageTransferStatus = ImageTransferStatus.INITIATED
    blocks: dict[int, bytes] = field(default_factory=dict, repr=False)
    due_at: float = 0.0
    """When a verification or activation that has begun is over, epoch seconds."""

    @property
    def block_count(self) -> int:
        """How many blocks the whole image has."""
        return -(-self.size // self.block_size)

    @property
    def first_missing(self) -> int:
        """Number of the first block that has not arrived; the count of blocks when all have."""
        return next(
            (number for number in range(self.block_count) if number not in self.blocks),
            self.block_count,
        )

    def octets(self) -> bytes:
        """Return the image, as far as it has arrived."""
        return b"".join(self.blocks[number] for number in sorted(self.blocks))


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that took the place of the planned ones; None where the planned one is still in use."""

    encryption: bytes | None = field(default=None, repr=False)
    authentication: bytes | None = field(default=None, repr=False)
    master: bytes | None = field(default=None, repr=False)
    broadcast: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """A way of counting that ended: from `at` on with these joules, see `meter`."""

    at: int
    flow: str
    joules: Energy


@dataclass(slots=True)
class Remembered:
    """One meter's entry."""

    settings: dict[AttributeKey, bytes] = field(default_factory=dict)
    image: Image | None = None
    firmware: str | None = None
    keys: Keys = field(default_factory=Keys)
    executed_at: dict[bytes, int] = field(default_factory=dict)
    failed_attempts: int = 0
    over_limit_since: float | None = None
