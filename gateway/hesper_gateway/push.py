"""Readings that meters push unasked.

Theory of operation
-------------------
::

    octets → PushReceiver (frames, blocks, ciphering) → whose is it? (`push_owner`) → rows

Whatever can be decoded is stored: a date that is old or far off is flagged, and where there is none
the time of arrival stands in, flagged as assumed. That is by the machine's clock, or by proven time
where there is one and the clock contradicts it. What is dropped is counted and told, with its
reason.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from hesper_contracts.events import Event
from hesper_dlms.errors import DecodeError
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.push import PushedReading

from hesper_gateway.database import StorageFull
from hesper_gateway.gathering import Find, Gathering
from hesper_gateway.lines.listening import Ear, Sink
from hesper_gateway.outbox import OutboxFull
from hesper_gateway.push_owner import PushMeter, PushMeters, Unplaced
from hesper_gateway.pushed_rows import nameless_count, section_of
from hesper_gateway.sessions import left_out
from hesper_gateway.sessions.clock import as_utc
from hesper_gateway.visit import EventsOutbox

__all__ = ["PushMeter", "PushPort"]

log = logging.getLogger(__name__)

SILENCE_S = 5.0
"""After this long without an octet, what is incomplete stays incomplete."""
REPORT_S = 300.0
FULL_PAUSE_S = 1.0
UNTOLD_MAX = 1000


class PushPort:
    """One line that only listens.

    Args:
        name: The line's.
        ear: Where octets come from.
        meters: Who may push there; all over the same kind of link.
        gathering: Takes readings.
        outbox: Takes events.
        now: Epoch seconds, UTC.

    Raises:
        ConfigError: a meter has no push template, or links differ.
    """

    def __init__(
        self,
        name: str,
        ear: Ear,
        meters: Sequence[PushMeter],
        gathering: Gathering,
        outbox: EventsOutbox,
        now: Callable[[], float],
    ) -> None:
        self.name = name
        self.dropped: Counter[str] = Counter()
        self._ear = ear
        self._meters = PushMeters(name, meters)
        self._gathering = gathering
        self._outbox = outbox
        self._now = now
        self._received_counters: dict[bytes, int] = {}
        self._identified: set[str] = set()
        self._left_out_told: set[tuple[str, bytes]] = set()
        self._untold: list[Event] = []
        self._last_drop = ""
        self._reported_count = 0
        self._reported_at = float("-inf")

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._ear.run(self.new_sink, self._drop)

    def new_sink(self) -> Sink:
        """Return where the octets of one stream go."""
        receiver = PushReceiver(self._meters.link, self._meters.keys, self._received_counters)
        heard_at = time.monotonic()

        async def sink(octets: bytes) -> None:
            nonlocal heard_at
            is_silent = time.monotonic() - heard_at > SILENCE_S
            found = receiver.finish() if is_silent or not octets else []
            await self._take(found + receiver.receive(octets))
            heard_at = time.monotonic()  # what came while rows waited for room was no silence

        return sink

    async def _take(self, found: Sequence[object]) -> None:
        finds: list[Find] = []
        events: list[Event] = []
        for item in found:
            if isinstance(item, PushedMessage):
                self._place(item, finds, events)
            else:
                self._drop(str(getattr(item, "reason", item)))
        events += self._report()
        try:
            await self._tell(events)
        finally:  # whatever became of the events: rows are said only once
            await self._store(finds)

    async def _tell(self, events: list[Event]) -> None:
        """Store events; what a full disk has no room for is told with the next push."""
        waiting, self._untold = self._untold + events, []
        try:
            if waiting:
                await self._outbox.append_events(waiting)
        except StorageFull as full:  # no reason to end the stream that brings the pushes
            self._untold = (waiting + self._untold)[-UNTOLD_MAX:]
            log.debug("line %s: %d events wait: %s", self.name, len(self._untold), full)

    def _place(self, message: PushedMessage, finds: list[Find], events: list[Event]) -> None:
        """Add what one message tells to the finds and events."""
        received_at, beyond = self._now(), left_out.LeftOut()
        try:
            owner, reading = self._meters.whose(message, as_utc(received_at))
            section = section_of(owner.meter.id, owner.push, reading, received_at, beyond)
        except (Unplaced, DecodeError) as error:
            self._drop(str(error))
            return
        if section is not None:
            finds.append(Find(section))
        elif count := nameless_count(reading):
            self._drop(
                f"{count} numbers without logical names: the template lists none for so many values"
            )
        fresh = {(owner.meter.id, name) for name in beyond} - self._left_out_told
        if fresh:
            self._left_out_told |= fresh
            events.append(left_out.event(owner.meter.id, (n for _, n in fresh), received_at))
        if owner.meter.id not in self._identified:
            self._identified.add(owner.meter.id)
            events.append(self._identity_of(owner, reading))
        if back := owner.state.succeeded():
            events.append(back)

    async def _store(self, finds: list[Find]) -> None:
        """Store rows, however long the outbox has no room: nobody else has them."""
        told = False
        while True:
            try:
                await self._gathering.append(finds)
            except OutboxFull as full:
                if not told:
                    log.warning("line %s: pushes wait: %s", self.name, full)
                told = True
                await asyncio.sleep(FULL_PAUSE_S)
            else:
                return

    def _drop(self, reason: str) -> None:
        self.dropped[reason if len(self.dropped) < 1000 else "others"] += 1
        self._last_drop = reason
        log.debug("line %s: push dropped: %s", self.name, reason)

    def _report(self) -> list[Event]:
        """Return an event about drops, at most one in `REPORT_S`, however the clock is set."""
        count, now, steady = self.dropped.total(), self._now(), time.monotonic()
        if count == self._reported_count or steady - self._reported_at < REPORT_S:
            return []
        new_count = count - self._reported_count
        self._reported_count, self._reported_at = count, steady
        return [
            Event(
                id=f"{self.name}/{int(now * 1000)}/push.dropped",
                code="push.dropped",
                severity="warning",
                occurred_at=as_utc(now),
                text=f"{new_count} pushes dropped on line {self.name}, the last because: "
                f"{self._last_drop}",
                attributes={"line": self.name, "dropped_count": new_count},
            )
        ]

    def _identity_of(self, owner: PushMeter, reading: PushedReading) -> Event:
        now, meter = self._now(), owner.meter
        return Event(
            id=f"{meter.id}/{int(now * 1000)}/meter.identified",
            code="meter.identified",
            occurred_at=as_utc(now),
            meter=meter.id,
            text=f"pushes on line {self.name}",
            attributes={
                "logical_device_name": meter.logical_device_name or "",
                "serial": meter.id,
                "model": owner.template.description,
                "template": owner.template.name,
                "identities": ", ".join(reading.identities),
                "line": self.name,
            },
        )
