"""Rows that are inserted or brought up to date, by the key that they share, on either database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from hesper_cloud.db.base import RegistryBase
from hesper_cloud.db.listed import listed

Insert = sqlite.Insert | postgresql.Insert
Names = tuple[str, Collection[str]]


def upsert(
    session: Session,
    model: type[RegistryBase],
    rows: Sequence[dict[str, Any]],
    changed: Sequence[str],
) -> None:
    """Inserts rows; where one of the same primary key is there, sets its ``changed`` columns."""
    if rows:
        insert = _insert(session, model)
        session.connection().execute(_updating(insert, model, changed), rows)


def upsert_each(
    session: Session,
    model: type[RegistryBase],
    names: Names,
    same: Mapping[str, Any],
    changed: Sequence[str],
) -> None:
    """Inserts a row for each name, alike in the rest; of rows that are there, as `upsert` does.

    Args:
        session: In a writing transaction.
        model: The table.
        names: A text column of it, and its values.
        same: The other columns.
        changed: Which columns to set where a row of the same primary key is there.
    """
    insert = _each(session, model, names, same)
    session.connection().execute(_updating(insert, model, changed))


def lower_each(
    session: Session, model: type[RegistryBase], names: Names, same: Mapping[str, Any], least: str
) -> None:
    """Does the same; of a row that is there it lowers the column ``least``, and never raises it."""
    insert, column = _each(session, model, names, same), model.__table__.c[least]
    is_lower = insert.excluded[least] < column
    session.connection().execute(_updating(insert, model, [least], is_lower))


def _each(
    session: Session, model: type[RegistryBase], names: Names, same: Mapping[str, Any]
) -> Insert:
    column, values = names
    table = model.__table__
    source = listed(session, values).add_columns(
        *(literal(value, table.c[name].type) for name, value in same.items())
    )
    return _insert(session, model).from_select([column, *same], source)


def _updating(
    insert: Insert,
    model: type[RegistryBase],
    changed: Sequence[str],
    where: ColumnElement[bool] | None = None,
) -> Insert:
    return insert.on_conflict_do_update(
        index_elements=list(model.__table__.primary_key),
        set_={name: insert.excluded[name] for name in changed},
        where=where,
    )


def insert_each(
    session: Session, model: type[RegistryBase], names: Names, same: Mapping[str, Any]
) -> None:
    """Inserts a row for each name, alike in the rest; passes over rows whose key is there."""
    insert = _each(session, model, names, same)
    session.connection().execute(insert.on_conflict_do_nothing())


def insert_several(
    session: Session, model: type[RegistryBase], rows: Sequence[dict[str, Any]]
) -> None:
    """Inserts rows whose keys are not there; all name the same columns."""
    if rows:
        session.connection().execute(inserting(session, model), rows)


def inserting(session: Session, model: type[RegistryBase]) -> Insert:
    """Returns an INSERT that passes over rows whose key is there."""
    return _insert(session, model).on_conflict_do_nothing()


def _insert(session: Session, model: type[RegistryBase]) -> Insert:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is mapped to no table")
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
