"""Writes looks down: once a second, and once more when the process ends."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.access_log.looks import Look, Looks, Times
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import DataAccess

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 1.0


class AccessLogKeeping:
    """Keeps the table of looks."""

    def __init__(self, engine: Engine, looks: Looks) -> None:
        self._engine = engine
        self._looks = looks

    def flush(self) -> int:
        """Writes all that waits in one transaction; returns how many rows that were.

        Raises:
            SQLAlchemyError: the database does not take them; they go on waiting.
        """
        taken = self._looks.take()
        if not taken:
            return 0
        rows = [_row(look, times) for look, times in taken.items()]
        try:
            with writing(self._engine) as session:
                session.execute(insert(DataAccess), rows)
        except SQLAlchemyError:
            self._looks.put_back(taken)
            raise
        return len(rows)

    def forget(self, before: datetime) -> int:
        """Removes looks that are older; returns how many."""
        old = delete(DataAccess).where(DataAccess.last_at < before)
        with writing(self._engine) as session:
            return session.connection().execute(old).rowcount

    async def run(self) -> None:
        """Flushes until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                await asyncio.to_thread(self._try)
        finally:
            self._try()

    def _try(self) -> None:
        try:
            self.flush()
        except SQLAlchemyError as error:
            log.warning("%d looks at data are not written down yet: %s", len(self._looks), error)


def _row(look: Look, times: Times) -> dict[str, Any]:
    return {
        **look._asdict(),
        "from_at": _instant(look.from_at),
        "to_at": _instant(look.to_at),
        "first_at": times.first_at,
        "last_at": times.last_at,
        "count": times.count,
    }


def _instant(epoch_s: int | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
