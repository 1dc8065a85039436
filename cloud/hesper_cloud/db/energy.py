"""Tables of validation and energy: what is to be computed again, substitutes, topology, series."""

from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, Index, String, Text, UniqueConstraint, or_
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class DirtyDay(RegistryBase):
    """One UTC day of one meter whose readings changed since it was last validated."""

    __tablename__ = "dirty_days"

    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True)  # days since 1970-01-01
    marked_at: Mapped[datetime]


class Substitute(RegistryBase):
    """One value that stands in for a raw one or for none: an estimate, or a person's edit.

    Versions are never overwritten: one that no longer holds is withdrawn, the next has a number.
    """

    __tablename__ = "substitutes"
    __table_args__ = (
        Index(None, "meter", "captured_at"),
        UniqueConstraint("meter", "profile", "logical_name", "captured_at", "version"),
        UniqueConstraint("made_by", "idempotency_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    meter: Mapped[str] = mapped_column(String(32))
    profile: Mapped[str] = mapped_column(String(24))
    logical_name: Mapped[str] = mapped_column(String(24))
    captured_at: Mapped[datetime]
    version: Mapped[int]
    method: Mapped[str]  # linear | reference day | edit
    value: Mapped[int] = mapped_column(BigInteger)
    scaler: Mapped[int]
    unit: Mapped[int]
    made_at: Mapped[datetime]
    made_by: Mapped[str | None]  # None: estimated
    reason: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(128))
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None]


class Element(RegistryBase):
    """One part of the grid whose energy is balanced: an area, a feeder, a transformer."""

    __tablename__ = "elements"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str]  # area | feeder | transformer
    name: Mapped[str]
    parent: Mapped[str | None] = mapped_column(String(64), index=True)


class ElementMeter(RegistryBase):
    """A meter at an element for a time: it measures what flows in, or what a customer takes."""

    __tablename__ = "element_meters"

    element: Mapped[str] = mapped_column(String(64), primary_key=True)
    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    from_at: Mapped[datetime] = mapped_column(primary_key=True)
    to_at: Mapped[datetime | None]
    role: Mapped[str]  # inflow | customer

    @classmethod
    def lasts(cls, at: datetime) -> ColumnElement[bool]:
        """Returns the condition that a place is not over at a moment; it may begin later."""
        return or_(cls.to_at.is_(None), cls.to_at > at)

    @classmethod
    def stands(cls, at: datetime) -> ColumnElement[bool]:
        """Returns the condition that a meter stands there at a moment.

        A place may be written down before it begins, and its end before that has come.
        """
        return (cls.from_at <= at) & cls.lasts(at)


class OutsideSeries(RegistryBase):
    """A series that others measure: weather, the grid operator's figures."""

    __tablename__ = "outside_series"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    scaler: Mapped[int]
    unit: Mapped[int]
    source: Mapped[str]  # who brought the newest points
    updated_at: Mapped[datetime]


class OutsidePoint(RegistryBase):
    """One value of such a series; the newest word for an instant holds."""

    __tablename__ = "outside_points"

    series: Mapped[str] = mapped_column(String(128), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
