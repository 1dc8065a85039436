"""Whether one firmware version is another or later.

Makers write versions as they like. Two are compared only where the text around the numbers is the
same, so that a V2 of one product line never counts as later than a 1.9 of another.
"""

import re

_NUMBER = re.compile(r"\d+")


def at_least(version: str, minimum: str) -> bool | None:
    """Return whether a version is a minimum or later; None when the two cannot be compared."""
    if _words(version) != _words(minimum):
        return None
    return _numbers(version) >= _numbers(minimum)


def _words(version: str) -> list[str]:
    """Return the text around the numbers, which may be more or fewer in a later version."""
    return [word for word in _NUMBER.split(version.strip()) if word.strip(".")]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(version)]
