"""Which days the store holds whole: sums of others stay as they are."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine

from hesper_cloud.aggregates import calendar
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.db.archive import archived_before
from hesper_cloud.settings import RetentionSettings
from hesper_cloud.validation.sheet import Sheet

_SUMMED = """
    SELECT meter, stored FROM scores
    WHERE starts_at = $start AND meter IN (SELECT unnest($meters))"""


def whole_from(registry: Engine, retention: RetentionSettings, now: datetime) -> int:
    """Returns the instant, epoch seconds, before which readings may have left the store.

    With an archive that is the end of the newest month that has left or is leaving. Without one
    the store removes readings by their age.
    """
    by_age = 0 if retention.archive else retention.horizon(now)
    return max(by_age, _leaving_before(registry))


def _leaving_before(registry: Engine) -> int:
    """Returns the end of the newest month that has left or is leaving, epoch seconds; 0: none.

    A month (UTC) is leaving as soon as one of its days is archived.
    """
    end = archived_before(registry)
    if not end:
        return 0
    newest = datetime.fromtimestamp(end - 1, UTC).date()
    return calendar.midnight(calendar.month_after(newest), ZoneInfo("UTC"))


def not_fewer(book: EnergyBook, sheet: Sheet) -> list[str]:
    """Returns the meters of whose day the store holds no fewer readings than its sums rest on."""
    meters = list(sheet.meters)
    summed: dict[str, int] = dict(book.rows(_SUMMED, start=int(sheet.times[0]), meters=meters))
    stored = np.count_nonzero(sheet.present[:, 1:], axis=1).tolist()
    return [
        meter for meter, count in zip(meters, stored, strict=True) if count >= summed.get(meter, 0)
    ]
