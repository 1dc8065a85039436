"""Tables of bulk import: which files were brought, and the rows that were refused on the way in."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class ImportFile(RegistryBase):
    """One file that was brought and tried; its octets lie in the state folder."""

    __tablename__ = "import_files"
    __table_args__ = (Index(None, "brought_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # random
    kind: Mapped[str] = mapped_column(String(16))  # customers | meters | simcards | simuse
    name: Mapped[str] = mapped_column(Text)  # as the file is called
    brought_by: Mapped[str]
    brought_at: Mapped[datetime]
    sha256: Mapped[str] = mapped_column(String(64))
    octets: Mapped[int] = mapped_column(BigInteger)
    reading: Mapped[dict[str, Any]] = mapped_column(JSON)  # encoding, separator, dates, options
    existing: Mapped[str] = mapped_column(  # refuse | update: rows of assets that are there
        String(8), default="refuse", server_default="refuse"
    )
    row_count: Mapped[int]
    good_count: Mapped[int]
    change_count: Mapped[int] = mapped_column(default=0, server_default="0")  # of the good ones
    same_count: Mapped[int] = mapped_column(default=0, server_default="0")  # they say what is there
    problems: Mapped[dict[str, Any]] = mapped_column(JSON)  # count by column and code
    job_id: Mapped[int | None] = mapped_column(ForeignKey("long_jobs.id"))  # that applies it
    removed_at: Mapped[datetime | None]  # its octets, by the clean-up


class ImportReject(RegistryBase):
    """One row that passed the dry run and was refused when it was applied."""

    __tablename__ = "import_rejects"

    import_id: Mapped[str] = mapped_column(
        ForeignKey("import_files.id", ondelete="CASCADE"), primary_key=True
    )
    row: Mapped[int] = mapped_column(primary_key=True)  # its line in the file
    problems: Mapped[dict[str, Any]] = mapped_column(JSON)
