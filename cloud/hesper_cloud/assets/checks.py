"""What one field may hold. Each check takes a value and returns it as it is kept, or raises.

Texts lose blanks at their ends, and an empty one is none. Control characters are refused: they
belong in no name, and would break the lines of whoever exports or logs it.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from datetime import date
from typing import Any

from hesper_cloud.worded import worded

Check = Callable[[Any], Any]


class NotTaken(ValueError):
    """A field does not take this value; the text says what it takes."""


_DIGITS = re.compile(r"[0-9]+")
_MSISDN = re.compile(r"\+?[0-9]{5,15}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
_LARGEST = 2**31 - 1


def text(longest: int) -> Check:
    """Returns a check for a text of so many characters at most."""

    def check(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            raise NotTaken("is a text")
        kept = value.strip()
        if len(kept) > longest:
            raise NotTaken(worded("has at most {longest} characters", longest=longest))
        if not kept.isprintable():
            raise NotTaken("holds a line break or a control character")
        return kept or None

    return check


def matching(pattern: re.Pattern[str], what: str, longest: int = 254) -> Check:
    """Returns a check for a text of a form; ``what`` says which."""
    as_text = text(longest)

    def check(value: Any) -> str | None:
        kept: str | None = as_text(value)
        if kept is not None and not pattern.fullmatch(kept):
            raise NotTaken(worded("{kept!r} is not {what}", kept=kept, what=what))
        return kept

    return check


def choice(values: Collection[str]) -> Check:
    """Returns a check for one of a few words."""

    def check(value: Any) -> str:
        if value not in values:
            raise NotTaken(worded("is one of {values}", values=", ".join(values)))
        return str(value)

    return check


def between(lowest: float, highest: float) -> Check:
    """Returns a check for a number, both ends included."""

    def check(value: Any) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotTaken("is a number")
        if not lowest <= value <= highest:
            raise NotTaken(
                worded("is between {lowest:g} and {highest:g}", lowest=lowest, highest=highest)
            )
        return value

    return check


def whole(lowest: int, highest: int = _LARGEST) -> Check:
    """Returns a check for a whole number, both ends included."""
    in_range = between(lowest, highest)

    def check(value: Any) -> int | None:
        if isinstance(value, float):
            raise NotTaken("is a whole number")
        kept: int | None = in_range(value)
        return kept

    return check


def day(value: Any) -> date | None:
    """Takes a day, as such or in ISO 8601."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            raise NotTaken(worded("{value!r} is not a day as 2026-03-31", value=value)) from None
    if not isinstance(value, date):
        raise NotTaken("is a day")
    return value


_ADDRESS = text(45)


def _is_version_4(written: str) -> bool:
    """Says whether a text is four plain numbers, which have one form."""
    try:
        socket.inet_pton(socket.AF_INET, written)
    except OSError:
        return False
    return True


def address(value: Any) -> str | None:
    """Takes an IP address, version 4 or 6."""
    kept: str | None = _ADDRESS(value)
    if kept is None:
        return None
    if _is_version_4(kept):
        return kept
    try:
        return str(ipaddress.ip_address(kept))
    except ValueError:
        raise NotTaken(worded("{kept!r} is not an IP address", kept=kept)) from None


def iccid(value: Any) -> str | None:
    """Takes the number that is printed on a SIM card (ITU-T E.118): 18 to 20 digits, 89 first.

    Its check digit is not judged: cards without a sound one are in use.
    """
    kept: str | None = text(30)(value)
    if kept is None:
        return None
    kept = kept.replace(" ", "").upper().removesuffix("F")
    if not _DIGITS.fullmatch(kept) or not kept.startswith("89") or not 18 <= len(kept) <= 20:
        raise NotTaken(
            worded("{kept!r} is not an ICCID: 18 to 20 digits that begin with 89", kept=kept)
        )
    return kept


key = matching(re.compile(r"[^/\\]+"), "a name that an address can hold: no slashes", 64)
imsi = matching(re.compile(r"[0-9]{14,15}"), "an IMSI: 14 or 15 digits")
msisdn = matching(_MSISDN, "an MSISDN: 5 to 15 digits, perhaps with + before them")
email = matching(_EMAIL, "an e-mail address")
latitude = between(-90, 90)
longitude = between(-180, 180)
port = whole(1, 65535)
