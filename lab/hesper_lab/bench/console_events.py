"""Events for the console benchmark: a gateway that tells so many a second, at an even pace.

Each is followed: stored (stamped, before the commit), told (found by the head end's look), sent (a
simulated client has it; the one that follows first, and the one that follows last), heard (by the
browser's socket), in the DOM, painted (until the frame after that).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from hesper_contracts.events import Event, EventList, to_payload
from hesper_contracts.frame import Kind
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from hesper_lab.bench.console_seen import Arrivals, percentile
from hesper_lab.bench.console_sockets import Heard
from hesper_lab.bench.head_end import HeadEnd
from hesper_lab.bench.rows import Row, row

PER_SECOND: Final = 1000
_PER_BATCH: Final = 20
_KEEPALIVE_S: Final = 3600


def rows(clients: Sequence[Sequence[Heard]], page: Arrivals, seconds: float) -> list[Row]:
    """Return how long after it was stored an event comes to each place on its way."""
    end = page.since + seconds
    first, last = ([each for each in one if page.since < each.stored_at < end] for one in clients)
    ways = {
        "told": [1000 * (each.told_at - each.stored_at) for each in first],
        "sent": [1000 * (each.heard_at - each.stored_at) for each in first],
        "sent_last": [1000 * (each.heard_at - each.stored_at) for each in last],
        "heard": page.heard_ms,
    }
    steps = [
        row(f"console.event_{name}_p{percent}_ms", percentile(delays_ms, percent), "ms")
        for name, delays_ms in ways.items()
        for percent in (50, 99)
    ]
    painted = 100 * len(page.painted_ms) / (PER_SECOND * seconds)
    return [
        row("console.event_p50_ms", percentile(page.painted_ms, 50), "ms"),
        row("console.event_p99_ms", percentile(page.painted_ms, 99), "ms", 50.0),
        row("console.event_dom_p50_ms", percentile(page.drawn_ms, 50), "ms"),
        row("console.event_dom_p99_ms", percentile(page.drawn_ms, 99), "ms", 50.0),
        row("console.events_painted", painted, "% of 1000/s"),
        *steps,
    ]


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
