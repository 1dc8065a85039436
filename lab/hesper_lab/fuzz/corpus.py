"""The inputs that are kept: one text file for each target, one input in hex on each line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "corpora"
LARGEST_INPUT: Final = 2048
MOST_INPUTS: Final = 400


def load(name: str, folder: Path = FOLDER) -> list[bytes]:
    """Return a target's inputs in their order."""
    path = folder / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []


def save(name: str, inputs: Iterable[bytes], folder: Path = FOLDER) -> int:
    """Keep a target's inputs: each once, short ones first; return how many there are."""
    kept = sorted({each for each in inputs if len(each) <= LARGEST_INPUT}, key=_order)
    kept = kept[:MOST_INPUTS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.hex").write_text("".join(f"{each.hex()}\n" for each in kept))
    return len(kept)


def _order(octets: bytes) -> tuple[int, bytes]:
    return len(octets), octets
