"""Table of looks at interval data: who saw what of which household, by which door."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class DataAccess(RegistryBase):
    """One look at interval data, or several alike within a moment.

    Without a meter it was at all meters of the area, without both at every meter.
    """

    __tablename__ = "data_accesses"
    __table_args__ = (Index(None, "meter", "last_at"), Index(None, "who", "last_at"))

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]
    who: Mapped[str] = mapped_column(String(128))
    door: Mapped[str] = mapped_column(String(16))  # rest | console | live | report | schedule | …
    operation: Mapped[str] = mapped_column(String(24))  # readings | series | export | latest | …
    meter: Mapped[str | None] = mapped_column(String(32))
    area: Mapped[str | None] = mapped_column(String(64))
    from_at: Mapped[datetime | None]  # of the captures that were asked for; the end is excluded
    to_at: Mapped[datetime | None]
