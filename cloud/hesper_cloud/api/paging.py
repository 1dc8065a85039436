"""Pages of lists over HTTP: ``limit``, ``cursor``, ``sort``, and the way to the next page.

The next page's address is in the ``Link`` header (RFC 8288, ``rel="next"``); lists that are objects
say its cursor as ``next``, too.
"""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Request, Response
from pydantic import BaseModel, Field

from hesper_cloud.api.wire import answer
from hesper_cloud.paging import MOST_ROWS, Asked, mark

_REPLACED = frozenset({"cursor", "offset"})


class Paged(BaseModel):
    """What every list may be asked; a list's own filters are in a class that extends this one."""

    limit: int = Field(default=100, ge=1, le=MOST_ROWS, description="Rows on a page")
    cursor: str = Field(default="", max_length=2048, description="`next` of the page before")
    sort: str = Field(
        default="", max_length=40, description="A field of the list; `-` before it for descending"
    )

    def asked(self) -> Asked:
        """Returns it as services take it; the cursor stays with its filters."""
        filters = self.model_dump(mode="json", exclude={"limit", "cursor", "offset", "sort"})
        return Asked(self.limit, self.cursor, self.sort, mark(filters))


def listed(request: Request, rows: object, following: str | None) -> Response:
    """Returns rows as a bare array; the way to the next page is in the ``Link`` header."""
    return linked(request, answer(rows), following)


def paged(request: Request, rows: list[Any], following: str | None, **more: object) -> Response:
    """Returns rows as an object with ``next``, the cursor of the next page or null."""
    return linked(request, answer({"rows": rows, "next": following, **more}), following)


def linked(request: Request, response: Response, following: str | None) -> Response:
    """Returns a response with a ``Link`` to the page that follows, if one does."""
    if following is not None:
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        kept = [(name, value) for name, value in pairs if name not in _REPLACED]
        query = urlencode([*kept, ("cursor", following)])
        response.headers.append("Link", f'<{quote(request.url.path)}?{query}>; rel="next"')
    return response
