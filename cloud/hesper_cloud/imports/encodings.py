"""Which encoding a file is in: by its mark, by what can be read, or told."""

import codecs
import re
from typing import Literal

from hesper_cloud.imports.problems import NotASheet
from hesper_cloud.worded import worded

Encoding = Literal[
    "utf-8", "utf-16", "windows-1252", "windows-1250", "windows-1251", "iso-8859-1", "iso-8859-15"
]
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")  # octets, as `surrogateescape` shows them
_BEYOND_ASCII = re.compile("[^\0-\x7f\udc80-\udcff]")
_LOOKED_AT = 4096
_MANY = 0.3


def decoded(octets: bytes, told: Encoding | None) -> tuple[str, str]:
    """Returns the text of a file and the encoding that it is in.

    UTF-8 and UTF-16 are known by their mark, or by what they look like; whatever else is neither is
    taken for Windows-1252, which spreadsheets in the west write, unless another one is told. A file
    that is UTF-8 but for some octets (two that were joined, one that was cut) is not: each name in
    it would be spoilt, and nobody told.

    Raises:
        NotASheet: it cannot be read so.
    """
    name = told or _found(octets)
    marked = next((codec for mark, codec in _MARKS if octets.startswith(mark)), None)
    try:
        text = octets.decode(marked or name)
    except UnicodeDecodeError as error:
        raise NotASheet(
            worded(
                "octet {start} cannot be read as {name}; say which encoding the file is in, or "
                "save it as CSV UTF-8",
                start=error.start,
                name=name,
            )
        ) from None
    if "\0" in text:
        raise NotASheet("there are zeros in the file: this is no CSV text; save it as CSV UTF-8")
    return text, name


def _found(octets: bytes) -> str:
    for mark, codec in _MARKS:
        if octets.startswith(mark):
            return "utf-8" if codec == "utf-8-sig" else codec
    head = octets[:_LOOKED_AT]
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros and zeros.count(0) > _MANY * len(zeros):
            return name
    text = octets.decode("utf-8", "surrogateescape")
    is_utf_8 = not _NOT_UTF_8.search(text) or _BEYOND_ASCII.search(text)
    return "utf-8" if is_utf_8 else "windows-1252"
