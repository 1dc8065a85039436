"""A report as PDF: A4 across, a head on every page, columns as wide as what is in them.

Rows are drawn one by one, so that memory does not grow with them. What comes from meters, customers
and people is drawn as text and never read as markup.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path

import reportlab
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from hesper_cloud.reports.tables import Column, Row

MOST_ROWS = 5_000
_WIDTH, _HEIGHT = landscape(A4)
_MARGIN, _LINE = 36.0, 13.0
_SIZE, _TITLE_SIZE, _NOTE_SIZE = 7.5, 15.0, 8.0
_GAP = 8.0
_MEASURED = 200  # rows by which columns are measured
_WIDEST = 190.0
_FONT, _BOLD = "Hesper", "Hesper-Bold"
_SHIPPED = Path(reportlab.__file__).parent / "fonts"
_MISSING = "–"
_CUT = "…"


@dataclass(frozen=True, slots=True)
class Head:
    """What stands on every page."""

    title: str
    note: str


def write(path: Path, head: Head, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Writes a report; the same rows make the same octets. Rows beyond `MOST_ROWS` are left out."""
    _fonts()
    canvas = Canvas(str(path), pagesize=(_WIDTH, _HEIGHT), invariant=1)
    canvas.setTitle(head.title)
    canvas.setAuthor("Hesper")
    pending = iter(rows)
    first = list(islice(pending, _MEASURED))
    page = _Page(canvas, head, columns, _widths(columns, first))
    page.begin()
    for row in chain(first, pending):
        page.draw(row)
    page.end()
    canvas.save()


@cache
def _fonts() -> None:
    pdfmetrics.registerFont(TTFont(_FONT, str(_SHIPPED / "Vera.ttf")))
    pdfmetrics.registerFont(TTFont(_BOLD, str(_SHIPPED / "VeraBd.ttf")))


def _widths(columns: Sequence[Column], rows: Sequence[Row]) -> list[float]:
    """Returns the width of each column; all together they fit the page."""
    wanted = []
    for place, column in enumerate(columns):
        texts = [_shown(row[place]) for row in rows]
        widest = max((pdfmetrics.stringWidth(text, _FONT, _SIZE) for text in texts), default=0.0)
        title = pdfmetrics.stringWidth(column.title, _BOLD, _SIZE)
        wanted.append(min(max(widest, title), _WIDEST) + _GAP)
    room = _WIDTH - 2 * _MARGIN
    scale = min(1.0, room / sum(wanted))
    return [width * scale for width in wanted]


def _shown(value: object) -> str:
    return _MISSING if value is None else " ".join(str(value).split())


class _Page:
    """Draws rows down the page, and begins the next one when it is full."""

    def __init__(
        self, canvas: Canvas, head: Head, columns: Sequence[Column], widths: Sequence[float]
    ) -> None:
        self._canvas = canvas
        self._head = head
        self._columns = columns
        self._widths = widths
        self._y = 0.0

    def begin(self) -> None:
        """Draws the head of a page."""
        canvas, top = self._canvas, _HEIGHT - _MARGIN
        canvas.setFont(_BOLD, _TITLE_SIZE)
        canvas.drawString(_MARGIN, top - _TITLE_SIZE, self._head.title)
        canvas.setFont(_FONT, _NOTE_SIZE)
        canvas.drawString(_MARGIN, top - _TITLE_SIZE - _LINE, self._head.note)
        self._y = top - _TITLE_SIZE - 3 * _LINE
        self._line(_BOLD, [column.title for column in self._columns])
        canvas.setLineWidth(0.5)
        canvas.line(_MARGIN, self._y + _LINE - 4, _WIDTH - _MARGIN, self._y + _LINE - 4)

    def draw(self, row: Row) -> None:
        """Draws one row."""
        if self._y < _MARGIN + _LINE:
            self.end()
            self.begin()
        self._line(_FONT, [_shown(value) for value in row])

    def end(self) -> None:
        """Draws the foot of a page and closes it."""
        canvas = self._canvas
        canvas.setFont(_FONT, _NOTE_SIZE)
        canvas.drawRightString(_WIDTH - _MARGIN, _MARGIN - _LINE, f"page {canvas.getPageNumber()}")
        canvas.showPage()

    def _line(self, font: str, texts: Sequence[str]) -> None:
        self._canvas.setFont(font, _SIZE)
        for x, width, column, text in self._cells(texts):
            fitting = _fitted(text, font, width - _GAP)
            if column.number:
                self._canvas.drawRightString(x + width - _GAP, self._y, fitting)
            else:
                self._canvas.drawString(x, self._y, fitting)
        self._y -= _LINE

    def _cells(self, texts: Sequence[str]) -> Iterator[tuple[float, float, Column, str]]:
        x = _MARGIN
        for width, column, text in zip(self._widths, self._columns, texts, strict=True):
            yield x, width, column, text
            x += width


def _fitted(text: str, font: str, width: float) -> str:
    """Returns as much of a text as there is room for."""
    if pdfmetrics.stringWidth(text, font, _SIZE) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if pdfmetrics.stringWidth(text[:middle] + _CUT, font, _SIZE) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low] + _CUT
