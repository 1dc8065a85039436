"""Lists by pages: a cursor names the last row that was seen, so that rows which come or go in
between neither repeat nor hide others (keyset pagination, as opposed to offsets).

Theory of operation. A list has some orders (`Orders`), each by one column, and one column that is
unique and breaks ties. The cursor holds the last row's values of both, and a mark of the order and
the filters it belongs to; with others it is refused, because it would mean another place. What a
cursor says is checked before it becomes a parameter of a query, so nobody has to sign it.
"""

import base64
import binascii
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, func, or_
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.worded import worded

MOST_ROWS = 1000
_LONGEST = 2048
_WHOLE = 2**63
_Column = InstrumentedAttribute[Any] | ColumnElement[Any]
Values = tuple[Any, Any]


class BadPage(ValueError):
    """A cursor or an order that this list does not have; the text says which."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page of a list: how many rows, in which order, after which row.

    ``sort`` is a name of the list's orders, with ``-`` before it for descending; empty for the
    usual one. ``filters`` marks what else was asked, so that a cursor stays with its question.
    """

    limit: int = 100
    cursor: str = ""
    sort: str = ""
    filters: str = ""

    @property
    def rows(self) -> int:
        """How many rows a page has at most."""
        return min(max(1, self.limit), MOST_ROWS)


def mark(filters: Mapping[str, Any]) -> str:
    """Returns a short mark of filters; equal ones have equal marks."""
    octets = orjson.dumps(dict(filters), option=orjson.OPT_SORT_KEYS, default=str)
    return hashlib.blake2b(octets, digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Order:
    """One column to go by, and the type of its values."""

    column: _Column
    type: type[Any]


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of a list; ``unique`` breaks ties, ``usual`` is the one nobody has to ask for."""

    by: Mapping[str, Order]
    unique: Order
    usual: str

    def page(
        self, session: Session, query: Select[Any], asked: Asked, *, found_first: bool = False
    ) -> tuple[list[Any], str | None]:
        """Returns a page's rows, and the cursor of the next page if there is one.

        Of a query for one entity or column the rows are that, else they are tuples. With
        ``found_first`` what matches is found and then sorted: where few rows match, that takes less
        than to look at every row in the order of an index, which SQLite prefers.

        Raises:
            BadPage: the list has no such order, or the cursor is not one of this question's.
        """
        name, descending, order = self._wanted(asked.sort)
        query = query.add_columns(order.column, self.unique.column)
        if asked.cursor:
            values = opened(asked, name, (order.type, self.unique.type))
            query = query.where(self._after(order, descending, values))
        by = func.coalesce(order.column, None) if found_first else order.column
        ranks = [by, self.unique.column]
        columns = [each.desc() if descending else each.asc() for each in ranks]
        query = query.order_by(columns[0].nulls_last(), columns[1]).limit(asked.rows + 1)
        rows = session.execute(query).all()
        last = rows[asked.rows - 1] if len(rows) > asked.rows else None
        following = None if last is None else sealed(asked, name, (last[-2], last[-1]))
        return [_without_ranks(row) for row in rows[: asked.rows]], following

    def _wanted(self, sort: str) -> tuple[str, bool, Order]:
        wanted = sort or self.usual
        name = wanted.removeprefix("-")
        if name not in self.by:
            known = ", ".join(sorted(self.by))
            raise BadPage(
                worded(
                    "there is no order by {name!r}; this list has {known}",
                    name=name[:40],
                    known=known,
                )
            )
        return wanted, wanted.startswith("-"), self.by[name]

    def _after(self, order: Order, descending: bool, values: Values) -> ColumnElement[bool]:
        value, unique = values
        column, tie = order.column, self.unique.column
        later = tie < unique if descending else tie > unique
        if value is None:  # nulls come last in both directions
            return and_(column.is_(None), later)
        beyond = column < value if descending else column > value
        return or_(beyond, and_(column == value, later), column.is_(None))


def cut(rows: Iterable[Any], key: str, asked: Asked) -> tuple[list[Any], str | None]:
    """Returns a page of rows that are in memory, in the order of a text attribute that is unique.

    Raises:
        BadPage: the cursor is not one of this question's, or another order was asked for.
    """
    if asked.sort.removeprefix("-") not in ("", key):
        raise BadPage(
            worded(
                "there is no order by {sort!r}; this list has {key}", sort=asked.sort[:40], key=key
            )
        )
    descending = asked.sort.startswith("-")
    in_order = sorted(rows, key=lambda row: str(getattr(row, key)), reverse=descending)
    if asked.cursor:
        _, seen = opened(asked, asked.sort or key, (str, str))
        in_order = [
            row
            for row in in_order
            if (getattr(row, key) < seen if descending else getattr(row, key) > seen)
        ]
    page, more = in_order[: asked.rows], len(in_order) > asked.rows
    last = getattr(page[-1], key) if more else ""
    return page, (sealed(asked, asked.sort or key, (last, last)) if more else None)


def _without_ranks(row: Sequence[Any]) -> Any:
    return row[0] if len(row) == 3 else tuple(row[:-2])


def sealed(asked: Asked, order: str, values: Values) -> str:
    """Returns the cursor of the page that begins after these values."""
    said = [order, asked.filters, *(_plain(value) for value in values)]
    octets = orjson.dumps(said)
    check = hashlib.blake2b(octets, digest_size=4).digest()
    return base64.urlsafe_b64encode(check + octets).decode("ascii").rstrip("=")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def opened(asked: Asked, order: str, types: tuple[type[Any], type[Any]]) -> Values:
    """Returns a cursor's values, each of its type.

    Raises:
        BadPage: as it says.
    """
    wrong = BadPage("this cursor is not one that this list gave; begin again without it")
    if len(asked.cursor) > _LONGEST or not asked.cursor.isascii():
        raise wrong
    try:
        octets = base64.urlsafe_b64decode(asked.cursor + "=" * (-len(asked.cursor) % 4))
        said = orjson.loads(octets[4:])
    except (binascii.Error, ValueError):
        raise wrong from None
    if hashlib.blake2b(octets[4:], digest_size=4).digest() != octets[:4]:
        raise wrong
    if not isinstance(said, list) or len(said) != 4:
        raise wrong
    if said[:2] != [order, asked.filters]:
        raise BadPage("this cursor belongs to another order or other filters; begin again")
    if said[3] is None:
        raise wrong  # what is unique is never missing
    return _typed(said[2], types[0], wrong), _typed(said[3], types[1], wrong)


def _typed(value: Any, wanted: type[Any], wrong: BadPage) -> Any:
    if value is None:
        return None
    if wanted is datetime or wanted is date:
        try:
            value = wanted.fromisoformat(value)
            if isinstance(value, datetime):
                if value.tzinfo is None:
                    raise wrong
                value = value.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            raise wrong from None
        return value
    if wanted is float and isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    if type(value) is not wanted or "\0" in str(value):
        raise wrong
    if isinstance(value, int) and not -_WHOLE <= value < _WHOLE:
        raise wrong
    return value
