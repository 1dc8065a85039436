"""Rows that are inserted or brought up to date, by the key that they share, on either database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from hesper_cloud.db.base import RegistryBase


def upsert(
    session: Session,
    model: type[RegistryBase],
    rows: Sequence[dict[str, Any]],
    changed: Sequence[str],
) -> None:
    """Inserts rows; where one of the same primary key is there, sets its ``changed`` columns."""
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is mapped to no table")
    if not rows:
        return
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql.insert if is_postgresql else sqlite.insert)(table)
    session.connection().execute(
        insert.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={name: insert.excluded[name] for name in changed},
        ),
        rows,
    )


def insert_several(
    session: Session, model: type[RegistryBase], rows: Sequence[dict[str, Any]]
) -> None:
    """Inserts rows whose keys are not there; all name the same columns."""
    if rows:
        session.connection().execute(inserting(session, model), rows)


def inserting(session: Session, model: type[RegistryBase]) -> sqlite.Insert | postgresql.Insert:
    """Returns an INSERT that passes over rows whose key is there."""
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is mapped to no table")
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
