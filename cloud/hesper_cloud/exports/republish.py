"""Readings republished on MQTT for other systems, by choice: the change feed as messages.

One JSON message per reading on ``<root>/cloud/out/<meter>/<profile>``, late readings and
corrections included, with the quality codes of its flags and whether they put it in doubt. The
account writes below ``cloud/out/`` alone, where no gateway can, and readers read there alone
(``mosquitto/acl``). The cursor moves on when the broker has acknowledged a page, and lies in the
state folder: after a crash a page comes again, none is skipped. A broker may still lose what it
acknowledged; who must not miss anything asks the feed.
"""

import logging
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.job_settings import RepublishSettings
from hesper_cloud.quantities import symbol
from hesper_cloud.settings import BrokerSettings
from hesper_cloud.stores.port import Reading, ReadingStore
from hesper_cloud.validation.codes import VALID_RAW, is_doubted, of_flags

log = logging.getLogger(__name__)

LEVEL = "cloud/out"
_PAGE = 500
_PAGES_AT_ONCE = 20
_KEEPALIVE_S = 30
_ACKNOWLEDGED_S = 10.0


class Republish:
    """Follows the change feed; `turn` publishes what is new, `close` ends the connection."""

    def __init__(
        self, broker: BrokerSettings, wanted: RepublishSettings, store: ReadingStore, state: Path
    ) -> None:
        self._broker = broker
        self._wanted = wanted
        self._store = store
        self._mark = state / "republish.cursor"
        self._client: mqtt.Client | None = None

    def turn(self) -> None:
        """Publishes some pages of what was stored since; without a connection it waits."""
        if not self._wanted.enabled:
            return
        client = self._connected()
        for _ in range(_PAGES_AT_ONCE):
            cursor = self._mark.read_text("ascii").strip() if self._mark.exists() else ""
            page = self._store.changes(cursor, _PAGE)
            if not client.is_connected() or not self._publish(client, page.readings):
                return
            if page.cursor != cursor:
                passing = self._mark.with_suffix(".part")
                passing.write_text(page.cursor + "\n", encoding="ascii")
                passing.replace(self._mark)
            if not page.readings:
                return

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def _publish(self, client: mqtt.Client, readings: list[Reading]) -> bool:
        sent = []
        for reading in readings:
            told = message(reading, self._wanted.quantities)
            if told is not None:
                meter = quote(reading.meter, safe="")
                topic = f"{self._broker.root}/{LEVEL}/{meter}/{reading.profile}"
                sent.append(client.publish(topic, told, qos=1))
        try:
            for each in sent:
                each.wait_for_publish(_ACKNOWLEDGED_S)
        except (RuntimeError, ValueError) as error:
            log.warning("readings are not republished now: %s", error)
            return False
        return all(each.is_published() for each in sent)

    def _connected(self) -> mqtt.Client:
        if self._client is None:
            self._client = self._made()
            self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S)
            self._client.loop_start()
        return self._client

    def _made(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.enable_logger(log)
        account = self._broker.republish
        if account is not None:
            client.username_pw_set(account.username, account.password())
        if self._broker.tls_ca is not None:
            client.tls_set_context(ssl.create_default_context(cafile=str(self._broker.tls_ca)))
        return client


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
