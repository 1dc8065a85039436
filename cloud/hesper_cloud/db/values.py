"""Which values a column has, asked of its index: by a look for each, not by reading all rows."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

_MOST_LOOKS = 50


def values_of(session: Session, column: InstrumentedAttribute[Any]) -> list[Any]:
    """Returns the values of a column with an index and few of them; None among them if it is."""
    found = list(_ascending(session, column))
    if len(found) > _MOST_LOOKS:
        return list(session.scalars(select(column).distinct()))
    without = session.execute(select(column).where(column.is_(None)).limit(1)).first()
    return found if without is None else [*found, None]


def _ascending(session: Session, column: InstrumentedAttribute[Any]) -> Iterator[Any]:
    """Yields values, each the smallest after the one before; one more than are looked for."""
    query = select(func.min(column))
    value = session.scalar(query)
    for _ in range(_MOST_LOOKS + 1):
        if value is None:
            return
        yield value
        value = session.scalar(query.where(column > value))
