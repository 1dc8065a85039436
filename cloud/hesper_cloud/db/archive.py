"""The table of archived readings: which file holds what of a day that left the store."""

from datetime import datetime

from sqlalchemy import BigInteger, Engine, String, Text, func, select
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase
from hesper_cloud.db.engines import reading

_DAY_S = 86_400


class ArchivedPart(RegistryBase):
    """One file of one day's readings, proven before it was entered; erasures alone replace it."""

    __tablename__ = "archived_parts"

    day: Mapped[int] = mapped_column(primary_key=True)  # UTC, since 1970-01-01
    part: Mapped[int] = mapped_column(primary_key=True)  # 0, then late readings as they came
    name: Mapped[str] = mapped_column(Text)  # below the archive's folder
    readings: Mapped[int] = mapped_column(BigInteger)
    revisions: Mapped[int] = mapped_column(BigInteger)  # that are among them
    sha256: Mapped[str] = mapped_column(String(64))  # sum of the readings' digests
    octets: Mapped[int] = mapped_column(BigInteger)
    archived_at: Mapped[datetime]


def archived_before(registry: Engine) -> int:
    """Returns the end of the newest archived day, epoch seconds; 0 where there is none."""
    with reading(registry) as session:
        newest = session.scalar(select(func.max(ArchivedPart.day)))
    return 0 if newest is None else (newest + 1) * _DAY_S
