"""JSON as people write it by hand: what is wrong with it is told by its place."""

import json
from pathlib import Path
from typing import Any


class NotJson(ValueError):
    """It is text, and no JSON; the message says where."""


def read(path: Path) -> Any:
    """Return what a file holds. An editor of Windows begins its files with a mark: it is skipped.

    Raises:
        OSError: It cannot be read.
        NotJson: It is no JSON.
        UnicodeDecodeError: It is no text in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
