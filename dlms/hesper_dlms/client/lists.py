"""Which items of a list go into one request: as many as the meter's limits allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LIST_HEAD: Final = 16
"""Octets of a request around its list: tag, choice, invoke-id, counts, a block of one octet."""


def batches(sizes: Sequence[int], limit: int, most: int) -> list[slice]:
    """Return consecutive parts of a list that cover it.

    Args:
        sizes: Octets that each item takes in a request.
        limit: Octets that all items of one request may take.
        most: Items that one request may have.

    Returns:
        Slices of at least one item, also where that item alone is too long.
    """
    parts: list[slice] = []
    start = taken = 0
    for at, size in enumerate(sizes):
        if at > start and (at - start >= most or taken + size > limit):
            parts.append(slice(start, at))
            start, taken = at, 0
        taken += size
    if start < len(sizes):
        parts.append(slice(start, len(sizes)))
    return parts
