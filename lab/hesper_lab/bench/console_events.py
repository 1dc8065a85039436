"""Events for the console benchmark: a gateway that tells so many a second, at an even pace."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from hesper_contracts.events import Event, EventList, to_payload
from hesper_contracts.frame import Kind
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from hesper_lab.bench.head_end import HeadEnd

PER_SECOND: Final = 1000
_PER_BATCH: Final = 20
_KEEPALIVE_S: Final = 3600


@contextmanager
def told(head_end: HeadEnd, gateway: str, meters: list[str]) -> Iterator[None]:
    """Tell events of these meters in turn, `PER_SECOND` of them, for as long as this is open."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=gateway, protocol=mqtt.MQTTv5)
    client.username_pw_set(gateway, head_end.passwords[gateway])
    client.connect("localhost", head_end.site.ports.broker, _KEEPALIVE_S)
    client.loop_start()
    over = threading.Event()
    telling = threading.Thread(target=_tell, args=(client, gateway, meters, over))
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()
        client.disconnect()
        client.loop_stop()


def _tell(client: mqtt.Client, gateway: str, meters: list[str], over: threading.Event) -> None:
    epoch, topic = secrets.token_hex(8), Topics().up(gateway, Kind.EVENTS)
    pause_s = _PER_BATCH / PER_SECOND
    begun, sequence = time.monotonic(), 0
    while not over.wait(max(0.0, begun + sequence * pause_s - time.monotonic())):
        sequence += 1
        at = datetime.now(UTC)
        events = tuple(
            Event(
                id=f"{epoch}-{sequence}-{number}",
                code="clock.set",
                occurred_at=at,
                meter=meters[(sequence * _PER_BATCH + number) % len(meters)],
                text="Clock set by 2 s",
            )
            for number in range(_PER_BATCH)
        )
        client.publish(topic, to_payload(EventList(events=events), epoch, sequence), qos=1)
