"""Table of readings that are kept apart, whose meters are behind another gateway."""

from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class KeptApart(RegistryBase):
    """A gateway said something of a profile of such a meter, and it is stored apart."""

    __tablename__ = "kept_apart"

    gateway: Mapped[str] = mapped_column(primary_key=True)
    meter: Mapped[str] = mapped_column(primary_key=True)
    profile: Mapped[str] = mapped_column(primary_key=True)
