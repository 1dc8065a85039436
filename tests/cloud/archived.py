"""For tests of what reaches back behind the end of the archive."""

from datetime import UTC, date, datetime

from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.engines import writing
from sqlalchemy import Engine


def archived_until(registry: Engine, day: date) -> None:
    """Enters that readings of before a day are in the archive."""
    part = ArchivedPart(
        day=(day - date(1970, 1, 1)).days - 1, part=0, name="readings-0.parquet", readings=1,
        revisions=0, sha256="0" * 64, octets=1, archived_at=datetime.now(UTC),
    )  # fmt: skip
    with writing(registry) as session:
        session.add(part)
