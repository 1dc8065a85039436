"""What is new in an image: a plain text beside it, for people alone; nothing is decided by it.

It is not signed, as it may be written or mended after the release. Who wrote which text is in the
audit log, which holds the SHA-256 of each.
"""

import hashlib
import re

from hesper_cloud.images.filling import NotKept
from hesper_cloud.worded import worded

LONGEST = 16_384
"""Octets of a changelog in UTF-8, at most."""
_LAYOUT = frozenset("\n\t")
_SPACE = re.compile(r"[^\S\t]")  # those that do not break a line, as word processors write, too


def read(octets: bytes) -> str:
    """Returns a changelog as it is kept: with LF, plain spaces and no empty lines at its ends.

    Raises:
        NotKept: it is too long, no UTF-8, or holds what is no text.
    """
    if len(octets) > LONGEST:
        raise NotKept(
            worded(
                "a changelog has up to {longest} octets; keep the news of this version",
                longest=LONGEST,
            )
        )
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotKept(
            "a changelog is a text in UTF-8; save the file anew in that encoding"
        ) from None
    lines = (_SPACE.sub(" ", line).rstrip() for line in text.splitlines())
    text = "\n".join(lines).strip("\n")
    if not all(sign.isprintable() or sign in _LAYOUT for sign in text):
        raise NotKept("a changelog holds no control characters; save it as plain text")
    return text


def told(text: str) -> str:
    """Returns what the audit log says of a changelog."""
    if not text:
        return "none"
    octets = text.encode()
    return f"changelog of {len(octets)} octets, SHA-256 {hashlib.sha256(octets).hexdigest()}"
