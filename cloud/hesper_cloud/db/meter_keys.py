"""Tables of meters' keys in the authority's database; `meter_keys.custody` says how they live."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.authority_base import AuthorityBase


class MeterKeyRow(AuthorityBase):
    """One set of a meter's keys, locked under a data key that a master key wraps."""

    __tablename__ = "meter_keys"
    __table_args__ = (Index(None, "state"), Index(None, "master"))

    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(8))  # current | pending | past
    origin: Mapped[str] = mapped_column(String(200))  # where it came from, in words
    holds: Mapped[str] = mapped_column(String(200))  # names of the keys in it, by a blank each
    made_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    master: Mapped[str] = mapped_column(String(16))  # the name of the master key
    wrapped_key: Mapped[bytes]
    box: Mapped[bytes]


class KeyChange(AuthorityBase):
    """One command that carries a set of keys to its meter; a set may be sent more than once."""

    __tablename__ = "key_changes"
    __table_args__ = (Index(None, "meter", "version"),)

    command_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    meter: Mapped[str] = mapped_column(String(32))
    version: Mapped[int]
