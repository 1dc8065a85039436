"""Readings republished on MQTT for other systems, by choice: the change feed as messages.

One JSON message per reading on ``<root>/cloud/out/<meter>/<profile>``, late readings and
corrections included, with the quality codes of its flags and whether they put it in doubt. What is
kept apart is none of its meter's readings, and is published when it becomes one. A broker
may lose what it acknowledged; who must not miss anything asks the feed.
"""

import logging
from pathlib import Path
from typing import Any

import orjson

from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.exports.outlet import Cursor, Message, Outlet
from hesper_cloud.job_settings import RepublishSettings
from hesper_cloud.quantities import symbol
from hesper_cloud.stores.apart import is_apart
from hesper_cloud.stores.port import Reading, ReadingStore, StartAgain
from hesper_cloud.validation.codes import VALID_RAW, is_doubted, of_flags

log = logging.getLogger(__name__)

_PAGE = 500
_PAGES_AT_ONCE = 20


class Republish:
    """Follows the change feed; `turn` publishes what is new."""

    def __init__(
        self, outlet: Outlet, wanted: RepublishSettings, store: ReadingStore, state: Path
    ) -> None:
        self._outlet = outlet
        self._wanted = wanted
        self._store = store
        self._cursor = Cursor(state / "republish.cursor")

    def turn(self) -> None:
        """Publishes some pages of what was stored since; without a connection it waits."""
        if not self._wanted.enabled:
            return
        for _ in range(_PAGES_AT_ONCE):
            if not self._outlet.is_connected():
                return
            cursor = self._cursor.read()
            try:
                page = self._store.changes(cursor, _PAGE)
            except StartAgain as error:  # the store was restored; what came again goes out again
                log.warning("readings are republished again: %s", error)
                self._cursor.move(error.cursor)
                continue
            if not self._outlet.publish(self._messages(page.readings)):
                return
            if page.cursor != cursor:
                self._cursor.move(page.cursor)
            if not page.readings:
                return

    def _messages(self, readings: list[Reading]) -> list[Message]:
        own = (each for each in readings if not is_apart(each.profile))
        told = [(each, message(each, self._wanted.quantities)) for each in own]
        return [Message(each.meter, each.profile, text) for each, text in told if text is not None]


def message(reading: Reading, quantities: tuple[str, ...] = ()) -> bytes | None:
    """Returns a reading as other systems get it; None when nothing of it is wanted.

    Args:
        reading: As stored.
        quantities: Logical names that are wanted; none: every one.
    """
    values: dict[str, Any] = {
        each.logical_name: {"value": exact(each.value, each.scaler), "unit": symbol(each.unit)}
        for each in reading.values
        if each.value is not None and (not quantities or each.logical_name in quantities)
    }
    if not values:
        return None
    return orjson.dumps(
        {
            "meter": reading.meter,
            "profile": reading.profile,
            "captured_at": rfc3339(reading.captured_at),
            "stored_at": rfc3339(reading.stored_at_ms // 1000),
            "revision": reading.revision,
            "codes": list(of_flags(reading.quality) or (VALID_RAW,)),
            "doubted": is_doubted(reading.quality, ()),
            "values": values,
        }
    )
