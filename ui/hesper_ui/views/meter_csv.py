"""The meters of a selection as CSV (RFC 4180); nothing in it is a formula to a spreadsheet."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from hesper_ui.selections import Selection
from hesper_ui.services import Actor, MeterRow, Meters, NotFound, cell

AT_ONCE = 1000
TITLES = (
    *("id", "state", "online", "gateway", "customer", "address", "area", "model", "firmware"),
    *("life_support", "last_contact_at", "relay_output", "relay_confirmed_at"),
)


async def lines(meters: Meters, actor: Actor, selection: Selection) -> AsyncIterator[bytes]:
    """Yields a head line and then a line for each meter, some at a time.

    What a question finds is read by cursor: meters that fall silent or are heard meanwhile move no
    other one over the end of a page.
    """
    yield _written([TITLES])
    if selection.query is None:
        for start in range(0, len(selection.ids), AT_ONCE):
            named = selection.ids[start : start + AT_ONCE]
            yield _written([_line(row) async for row in _named(meters, actor, named)])
        return
    cursor: str | None = ""
    while cursor is not None:
        asked = replace(selection.query, sort="id", offset=0, limit=AT_ONCE, cursor=cursor)
        page = await meters.page(actor, asked)
        yield _written(map(_line, page.rows))
        cursor = page.next


async def _named(meters: Meters, actor: Actor, ids: Iterable[str]) -> AsyncIterator[MeterRow]:
    for each in ids:
        try:
            yield await meters.row(actor, each)
        except NotFound:  # removed since it was selected
            continue


def _line(row: MeterRow) -> list[object]:
    return [_text(getattr(row, name)) for name in TITLES]


def _text(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return cell(value) if isinstance(value, str) else str(value)


def _written(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
