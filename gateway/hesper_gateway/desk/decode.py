"""`hesper-dlms decode`: captured octets to messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hesper_dlms.deframing import Dropped
from hesper_dlms.errors import LocalError
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.security import SecuritySettings

_STDIN = "-"
_CHUNK = 1 << 16
_RAW = "raw"
_BETWEEN = re.compile(r"0[xX]|\\x|[\s:,;._|<>-]+")
_COMMENT = re.compile(r"^[^\S\n]*(#|//|failed:|try:).*$", re.MULTILINE)
_STARRED, _STAR = "**", b"*".hex()


def read_input(file: str, binary: bool | None = None) -> bytes:
    """Return the octets of a file or of standard input.

    Args:
        file: Path, or `-`.
        binary: The file holds the octets themselves; otherwise hex text, and None where the command
            has no option to say so.

    Raises:
        LocalError: It cannot be read, or is no hex text.
    """
    try:
        raw = sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from None
    what = "standard input" if file == _STDIN else file
    hint = "" if binary is None else " (for the octets themselves: --binary)"
    return raw if binary else hex_text(raw.decode("ascii", "replace"), what, hint)


def hex_text(text: str, what: str, hint: str = "") -> bytes:
    """Return the octets of hex text as people keep it.

    White space, `0x`, colons, commas and the like between octets do not matter, nor do lines that
    begin with # or //. Nor, of --trace, do the arrows and what it ended with; the octets of a
    password, which it stars, are stars.

    Raises:
        LocalError: It is no hex text; the message names `what` and ends with `hint`.
    """
    text = _COMMENT.sub("", text).replace(_STARRED, _STAR)
    try:
        return bytes.fromhex(_BETWEEN.sub("", text))
    except ValueError:
        raise LocalError(f"{what} is not hex text{hint}") from None


def decode(
    octets: bytes, link: str, keys: SecuritySettings | None
) -> Iterator[PushedMessage | Dropped]:
    """Yield messages and drops in order, as they are found."""
    receiver = PushReceiver(link, keys)
    size = max(len(octets), 1) if link == _RAW else _CHUNK
    for at in range(0, len(octets), size):
        yield from receiver.receive(octets[at : at + size])
    yield from receiver.finish()
