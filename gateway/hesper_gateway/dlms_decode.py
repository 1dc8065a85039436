"""`hesper-dlms decode`: captured octets to messages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from hesper_dlms.deframing import Dropped
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.security import SecuritySettings

_STDIN = "-"


def read_input(file: str, binary: bool) -> bytes:
    """Return the octets of a file or of standard input.

    Args:
        file: Path, or `-`.
        binary: The file holds the octets themselves; otherwise hex text, in which white space and
            lines that begin with # do not matter.

    Raises:
        LocalError: It cannot be read, or is no hex text.
    """
    try:
        raw = sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from None
    if binary:
        return raw
    lines = raw.decode("ascii", "replace").splitlines()
    text = "".join(line for line in lines if not line.lstrip().startswith("#"))
    try:
        return bytes.fromhex("".join(text.split()).replace("0x", ""))
    except ValueError:
        raise LocalError(f"{file} is not hex text (for the octets themselves: --binary)") from None


def decode(
    octets: bytes, link: str, keys: SecuritySettings | None
) -> Iterator[tuple[dict[str, object], bool]]:
    """Yield each message, or drop, as plain JSON, and whether it is a message."""
    receiver = PushReceiver(link, keys)
    for found in [*receiver.receive(octets), *receiver.finish()]:
        yield _shown(found)


def _shown(found: PushedMessage | Dropped) -> tuple[dict[str, object], bool]:
    if isinstance(found, PushedMessage):
        try:
            return found.to_json(), True
        except DecodeError as error:
            found = Dropped(found.link.offset, str(error))
    return {"offset": found.offset, "reason": found.reason}, False
