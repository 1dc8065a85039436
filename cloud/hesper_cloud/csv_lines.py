"""CSV (RFC 4180) as everything that we give out writes it: no cell is ever taken for a formula.

A spreadsheet works out what begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break, the wide
forms of these included. Such a text gets an apostrophe before it, which spreadsheets show as text
and `plain` takes off again. Numbers stay numbers, negative ones too.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

MEDIA_TYPE = "text/csv; charset=utf-8"
_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
_NEGATIVE = re.compile(r"-\d+(\.\d+)?")
_LINES_AT_ONCE = 2000


def cell(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    if not text:
        return text
    first = text[0]
    if first.isspace() and first not in _STARTS:
        first = text.lstrip()[:1]
    harmless = first not in _STARTS or (first == "-" and _NEGATIVE.fullmatch(text))
    return text if harmless else f"'{text}"


def plain(text: str) -> str:
    """Returns what stood in a cell before `cell` had it."""
    rest = text[1:]
    return rest if text.startswith("'") and cell(rest) != rest else text


def lines(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yields rows as CSV, some thousand lines at a time."""
    pending = iter(rows)
    while part := list(islice(pending, _LINES_AT_ONCE)):
        text = io.StringIO()
        csv.writer(text).writerows(
            [cell(each) if isinstance(each, str) else each for each in row] for row in part
        )
        yield text.getvalue().encode()


def document(rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as one CSV text."""
    return b"".join(lines(rows)).decode()
