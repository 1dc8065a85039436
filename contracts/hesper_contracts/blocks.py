"""Image blocks: pieces of a firmware image, each of which says itself what it is.

A gateway asks for a run of blocks (`requests.BlocksRequest`); each comes as a payload of its own,
so that blocks may be lost, doubled or out of order. Layout: header (4) · SHA-256 of the whole image
(32) · number of the block (4, big-endian) · octets. Every block but the last has `BLOCK_OCTETS`.
Blocks are not signed: an image counts only when the SHA-256 of the whole is that of a signed
command.
"""

from typing import NamedTuple

from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, Refused, expect, header
from hesper_contracts.requests import BlocksRequest

BLOCK_OCTETS = 16 * 1024
_HASH_END = HEADER_LENGTH + 32
_NUMBER_END = _HASH_END + 4


class ImageBlock(NamedTuple):
    """One block: the image's SHA-256 in hex, the block's number from 0, its octets."""

    image_hash: str
    number: int
    octets: bytes


def count(size: int) -> int:
    """Return how many blocks an image of so many octets has."""
    return -(-size // BLOCK_OCTETS)


def length(number: int, size: int) -> int:
    """Return how many octets a block of an image of so many octets has; 0 beyond its end."""
    return max(0, min(BLOCK_OCTETS, size - number * BLOCK_OCTETS))


def answers(request: BlocksRequest, image: bytes) -> list[bytes]:
    """Return the payloads for ``down/blocks`` that answer a request for this image, in order."""
    last = min(request.first + request.count, count(len(image)))
    return [
        to_payload(ImageBlock(request.image_hash, number, _cut(image, number)))
        for number in range(request.first, last)
    ]


def to_payload(block: ImageBlock) -> bytes:
    """Return the payload for ``down/blocks``."""
    prefix = header(Kind.BLOCKS, Encoding.OCTETS) + bytes.fromhex(block.image_hash)
    return prefix + block.number.to_bytes(4, "big") + block.octets


def from_payload(payload: bytes) -> ImageBlock:
    """Return the block that a payload holds.

    Raises:
        Refused: another kind or version, cut off, or longer than a block.
    """
    expect(payload, Kind.BLOCKS, Encoding.OCTETS)
    octets = payload[_NUMBER_END:]
    if not 0 < len(octets) <= BLOCK_OCTETS:
        raise Refused(f"a block of {len(octets)} octets: 1 to {BLOCK_OCTETS} are expected")
    number = int.from_bytes(payload[_HASH_END:_NUMBER_END], "big")
    return ImageBlock(payload[HEADER_LENGTH:_HASH_END].hex(), number, octets)


def _cut(image: bytes, number: int) -> bytes:
    return image[number * BLOCK_OCTETS : (number + 1) * BLOCK_OCTETS]
