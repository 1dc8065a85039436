"""Table of the consumers, as each last told of itself."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class ConsumerTold(RegistryBase):
    """One consumer: told anew every few seconds, gone when it ends in order."""

    __tablename__ = "consumers"

    instance: Mapped[str] = mapped_column(String(63), primary_key=True)
    told_at: Mapped[datetime]  # by its own clock
    hears: Mapped[bool]  # the broker has granted its subscriptions
    stores: Mapped[bool]  # what it has in hand is taken by the store
