"""Small files that are there as a whole or not at all, whatever happens to the power."""

from pathlib import Path

from hesper_contracts import durable


def put(path: Path, octets: bytes) -> None:
    """Puts a file in the place of another, durably and as one step; nobody else may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.put(path, octets)
