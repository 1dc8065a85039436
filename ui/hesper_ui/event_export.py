"""Events as CSV, by the filters of the page, page by page of the list."""

import csv
import io
from zoneinfo import ZoneInfo

from fastapi import Request
from starlette.responses import Response

from hesper_ui.desk import Desk
from hesper_ui.services import EventRow, PageAsked, mark_of
from hesper_ui.views import event_words

MOST_ROWS = 50_000
_PER_PAGE = 1000


async def answer(request: Request, desk: Desk) -> Response:
    """Answers with the newest events that the filters find."""
    actor = await desk.actor()
    asked = event_words.asked(request.query_params)
    wanted = event_words.wanted(asked, ZoneInfo(desk.services.reports.today()[1]))
    cursor, rows = "", list[EventRow]()
    while len(rows) < MOST_ROWS:
        page = PageAsked(_PER_PAGE, cursor, filters=mark_of(asked))
        found, following = await desk.services.events.page(actor, wanted, page)
        rows += found
        if following is None:
            break
        cursor = following
    text = io.StringIO()
    csv.writer(text).writerows(event_words.csv_lines(iter(rows)))
    headers = {"Content-Disposition": 'attachment; filename="events.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
