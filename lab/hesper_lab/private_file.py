"""Files with secrets: readable by their owner alone from the moment they exist."""

from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write a file that, where it is new, nobody else may ever read."""
    path.touch(mode=0o600)
    path.write_text(text)
