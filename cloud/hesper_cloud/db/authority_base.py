"""The base of all tables of the authority's database."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase

from hesper_cloud.db.columns import UtcTime
from hesper_cloud.db.registry import NAMING


class AuthorityBase(DeclarativeBase):
    """Declares the tables of the authority's database."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain dict from the class
        datetime: UtcTime,
        dict[str, Any]: JSON,
        bytes: LargeBinary,
    }
