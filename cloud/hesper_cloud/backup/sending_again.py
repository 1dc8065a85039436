"""After a restore: every gateway is asked for the batches that were receipted since the backup.

A restore leaves a note in the state folder: how far each outbox had been stored. While the note is
there, each gateway that comes online is asked, twice within an hour because a broker may lose what
it acknowledged; an outbox that the backup does not know is asked for from its beginning. What a
gateway does not hold any more the gap ledger reads from the meters.

The note keeps the days on which it was worked on, and goes after so many of them: the clock of a
machine that is new may be years behind until it hears a time server.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from hesper_contracts import again, durable
from hesper_contracts.again import SendAgain
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Signer
from sqlalchemy import Engine, func, select

from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import BatchSeen, Gateway

NOTE = "restored.json"
IN_FLIGHT = 1000
"""Batches are stored in any order; this many before the newest may be missing."""
_ASK_AGAIN = timedelta(hours=1)
_TIMES = 2
GIVE_UP_AFTER = 14
"""Days on which a note was worked on."""

Publish = Callable[[str, Kind, bytes], None]
Positions = dict[str, dict[str, int]]


def leave_note(state: Path, positions: Positions, now: datetime) -> None:
    """Writes down how far each outbox was stored: gateway → epoch → newest sequence."""
    note = {"restored_at": now.isoformat(), "positions": positions}
    _write(state / NOTE, note)


def days_with(days: Sequence[str], now: datetime) -> list[str]:
    """Returns the days on which a note was worked on, today included."""
    return sorted({*days, f"{now:%F}"})


class SendingAgain:
    """Asks gateways while the note of a restore is there; `turn` is cheap when it is not."""

    def __init__(
        self,
        state: Path,
        registry: Engine,
        signer: Signer,
        publish: Publish,
        clock: Callable[[], datetime],
    ) -> None:
        self._note = state / NOTE
        self._registry = registry
        self._signer = signer
        self._publish = publish
        self._clock = clock
        self._since = clock()
        self._asked: dict[SendAgain, list[datetime]] = {}

    def turn(self) -> None:
        """Asks every gateway that has been heard from since this process started."""
        if not self._note.exists():
            return
        note, now = json.loads(self._note.read_bytes()), self._clock()
        self._since = min(self._since, now)
        days = days_with(note.get("days", ()), now)
        if len(days) > GIVE_UP_AFTER:
            self._note.unlink()
            return
        if days != note.get("days"):
            _write(self._note, note | {"days": days})
        for wish in self._wishes(note["positions"]):
            times = self._asked.setdefault(wish, [])
            if len(times) < _TIMES and (not times or abs(now - times[-1]) >= _ASK_AGAIN):
                times.append(now)
                self._publish(wish.gateway, Kind.AGAIN, again.to_payload(wish, self._signer))

    def _wishes(self, positions: Positions) -> Iterator[SendAgain]:
        online = (Gateway.state == "online") & (Gateway.last_seen_at >= self._since)
        with reading(self._registry) as session:
            gateways = session.scalars(select(Gateway.id).where(online)).all()
            seen = select(BatchSeen.gateway, BatchSeen.epoch).distinct()
            outboxes = {(row.gateway, row.epoch) for row in session.execute(seen)}
        for gateway in gateways:
            stored = positions.get(gateway, {})
            for epoch, newest in stored.items():
                yield SendAgain(gateway, epoch, max(0, newest - IN_FLIGHT))
            if not stored:
                yield SendAgain(gateway, None, 0)
            for epoch in sorted(each for name, each in outboxes if name == gateway):
                if stored and epoch not in stored:
                    yield SendAgain(gateway, epoch, 0)


def positions_in(registry: Engine, readings: Positions) -> Positions:
    """Returns for each outbox the newest sequence up to which nothing was missing.

    Readings are in the store, events and results in the registry; the registry's copy is the older
    one, so the lesser of both counts.
    """
    query = select(BatchSeen.gateway, BatchSeen.epoch, func.max(BatchSeen.sequence))
    told: Positions = {}
    with reading(registry) as session:
        for gateway, epoch, newest in session.execute(
            query.group_by(BatchSeen.gateway, BatchSeen.epoch)
        ):
            told.setdefault(gateway, {})[epoch] = int(newest)
    outboxes = {
        (gateway, epoch) for part in (told, readings) for gateway in part for epoch in part[gateway]
    }
    found: Positions = {}
    for gateway, epoch in outboxes:
        newest_told = told.get(gateway, {}).get(epoch, 0)
        newest_read = readings.get(gateway, {}).get(epoch, 0)
        found.setdefault(gateway, {})[epoch] = min(newest_told, newest_read)
    return found


def _write(path: Path, note: Mapping[str, object]) -> None:
    durable.put(path, json.dumps(note, indent=1).encode() + b"\n")
