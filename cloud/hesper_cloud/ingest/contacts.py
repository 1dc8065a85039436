"""Who was heard from: meters and gateways that are new, and when each was last in contact.

Kept in memory and written by a thread of its own, so that readings do not wait for it: every five
seconds, some thousand meters at a time, and in a large fleet so seldom that writing takes a
fiftieth of the time. A meter that nobody commissioned appears as discovered, behind the gateway
that brought it; one that was planned or in stock is installed from then on.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from sqlalchemy import Engine, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud.assets.arrivals import meters_heard
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.listed import listed
from hesper_cloud.db.registry import CLOCK_TOLERANCE, Gateway, Meter, RegistryBase
from hesper_cloud.db.upserts import insert_each, insert_several
from hesper_cloud.giving_way import Seldom, first_of
from hesper_cloud.ingest.seen import insert_new
from hesper_cloud.stores.port import CommittedRows

log = logging.getLogger(__name__)

EVERY_S = 5.0
AT_ONCE = 5000
_MOST_TIMES = 250


class Contacts:
    """Follows committed rows; `flush` writes what changed."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._seldom = Seldom(EVERY_S, monotonic)
        self._lock = threading.Lock()
        self._heard: dict[str, dict[str, int]] = defaultdict(dict)  # gateway → meter → epoch s
        self._newest: dict[str, int] = {}  # gateway → newest of its times in `_heard`
        self._gateways: dict[str, int] = {}
        self._now = 0
        with reading(engine) as session:
            self._known = set(session.scalars(select(Meter.id).where(in_service())))

    def rows_committed(self, rows: CommittedRows) -> None:
        """Notes contact with the meters of a block, at the time the gateway received it."""
        at = min(rows.block.received_at, rows.stored_at)
        with self._lock:
            self._now = rows.stored_at
            heard = self._heard[rows.gateway]
            if at >= self._newest.get(rows.gateway, at):
                self._newest[rows.gateway] = at
                heard.update(dict.fromkeys(rows.block.meters, at))
            else:
                for meter in rows.block.meters:
                    heard[meter] = max(at, heard.get(meter, at))
            self._gateways[rows.gateway] = max(rows.stored_at, self._gateways.get(rows.gateway, 0))

    def flush(self, *, at_once: bool = False) -> None:
        """Writes some contacts if it is time, or all that there are."""
        self._seldom.turn(self._write_some, at_once=at_once)

    def _write_some(self) -> bool:
        """Returns whether more wait; what cannot be written now is kept."""
        heard, gateways = self._some()
        if not heard and not gateways:
            return False
        return self._write_or_keep(heard, gateways) and bool(self._heard)

    def _some(self) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
        """Takes all gateways, and of the meters those that wait longest."""
        heard: dict[str, dict[str, int]] = {}
        room = AT_ONCE
        with self._lock:
            gateways, self._gateways = self._gateways, {}
            while room and self._heard:
                gateway, meters = next(iter(self._heard.items()))
                if len(meters) <= room:
                    heard[gateway] = self._heard.pop(gateway)
                    self._newest.pop(gateway, None)
                else:
                    heard[gateway] = first_of(meters, room)
                    self._heard[gateway] = self._heard.pop(gateway)  # the others come first now
                room -= len(heard[gateway])
        return heard, gateways

    def _write_or_keep(self, heard: Mapping[str, dict[str, int]], gateways: dict[str, int]) -> bool:
        try:
            with writing(self._engine) as session:
                self._write(session, heard, gateways)
        except SQLAlchemyError as error:
            log.warning("contacts not written, again soon: %s", error)
            with self._lock:
                for gateway, meters in heard.items():
                    self._keep(gateway, meters)
                self._gateways = {**gateways, **self._gateways}
            return False
        self._known.update(*heard.values())
        return True

    def _keep(self, gateway: str, meters: Mapping[str, int]) -> None:
        """Puts back what was not written; what was heard since is newer, or it is not."""
        since = self._heard[gateway]
        self._heard[gateway] = {
            **meters,
            **{meter: max(at, meters.get(meter, at)) for meter, at in since.items()},
        }
        self._newest[gateway] = max(self._heard[gateway].values())

    def _write(
        self, session: Session, heard: Mapping[str, dict[str, int]], gateways: dict[str, int]
    ) -> None:
        insert_several(session, Gateway, [_new_gateway(gateway) for gateway in gateways])
        _set_later(session, Gateway, "last_seen_at", gateways.items(), self._now)
        for gateway, meters in heard.items():
            fresh = {name: at for name, at in meters.items() if name not in self._known}
            for at, names in _by_time(fresh.items()).items():
                same = _new_meter(gateway, _utc(at)) | {"last_contact_at": _utc(at)}
                insert_each(session, Meter, ("id", names), same)
            if fresh:
                meters_heard(session, gateway, fresh, datetime.now(UTC))
        everyone = chain.from_iterable(meters.items() for meters in heard.values())
        _set_later(session, Meter, "last_contact_at", everyone, self._now)


def _set_later(
    session: Session,
    model: type[RegistryBase],
    column: str,
    times: Iterable[tuple[str, int]],
    now: int,
) -> None:
    """Moves a time of several rows forward; back only one that clocks left ahead of ``now``."""
    table = model.__table__
    ahead = table.c[column] > _utc(now) + CLOCK_TOLERANCE
    for seconds, names in _by_time(times).items():
        at = _utc(seconds)
        later = or_(table.c[column].is_(None), table.c[column] < at, ahead)
        session.connection().execute(
            update(table)  # type: ignore[arg-type]
            .where(table.c.id.in_(listed(session, names)), later)
            .values({column: at})
        )


def _by_time(times: Iterable[tuple[str, int]]) -> dict[int, list[str]]:
    """Returns names by their time, epoch seconds; each time costs a statement.

    A batch may name a time for each of thousands of meters: neighbours are the earliest of them
    then, so that nobody was heard later than it was.
    """
    found: dict[int, list[str]] = {}
    for name, seconds in times:
        found.setdefault(seconds, []).append(name)
    ordered = sorted(found)
    together = -(-len(ordered) // _MOST_TIMES)
    if together <= 1:
        return found
    return {
        ordered[place]: [name for at in ordered[place : place + together] for name in found[at]]
        for place in range(0, len(ordered), together)
    }


def ensure_gateway(session: Session, gateway: str) -> None:
    """Adds a gateway that the registry does not know."""
    insert_new(session, Gateway, _new_gateway(gateway))


def ensure_meter(session: Session, meter: str, gateway: str, first_seen_at: datetime) -> None:
    """Adds a meter that the registry does not know, as discovered."""
    ensure_gateway(session, gateway)
    insert_new(session, Meter, {"id": meter} | _new_meter(gateway, first_seen_at))


def _new_gateway(gateway: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"id": gateway, "state": "unknown", "first_seen_at": now, "attributes": {}}


def _new_meter(gateway: str, first_seen_at: datetime) -> dict[str, Any]:
    return {
        "gateway_id": gateway,
        "state": "discovered",
        "life_support": False,
        "first_seen_at": first_seen_at,
    }


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
