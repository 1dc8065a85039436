"""Who was heard from: meters and gateways that are new, and when each was last in contact.

Kept in memory and written at most once a second, so that readings do not pay for it. A meter that
nobody commissioned appears as discovered, behind the gateway that brought it.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.ingest.seen import insert_new
from hesper_cloud.stores.port import CommittedRows

log = logging.getLogger(__name__)

EVERY_S = 1.0


class Contacts:
    """Follows committed rows; `flush` writes what changed."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._meters: dict[str, tuple[str, int]] = {}  # meter → gateway, epoch seconds
        self._gateways: dict[str, int] = {}
        self._flushed_at = 0.0
        with reading(engine) as session:
            self._known = set(session.scalars(select(Meter.id)))

    def rows_committed(self, rows: CommittedRows) -> None:
        """Notes contact with the meters of a block, at the time the gateway received it."""
        at = min(rows.block.received_at, rows.stored_at)
        with self._lock:
            for meter in rows.block.meters:
                before = self._meters.get(meter, ("", 0))[1]
                self._meters[meter] = (rows.gateway, max(at, before))
            self._gateways[rows.gateway] = max(rows.stored_at, self._gateways.get(rows.gateway, 0))

    def flush(self, *, at_once: bool = False) -> None:
        """Writes contacts if a second has passed since the last time."""
        if not at_once and self._monotonic() - self._flushed_at < EVERY_S:
            return
        self._flushed_at = self._monotonic()
        with self._lock:
            meters, self._meters = self._meters, {}
            gateways, self._gateways = self._gateways, {}
        if not meters and not gateways:
            return
        try:
            with writing(self._engine) as session:
                self._write(session, meters, gateways)
        except SQLAlchemyError as error:
            log.warning("contacts not written, again soon: %s", error)
            with self._lock:
                self._meters = {**meters, **self._meters}
                self._gateways = {**gateways, **self._gateways}
            return
        self._known |= meters.keys()

    def _write(
        self, session: Session, meters: dict[str, tuple[str, int]], gateways: dict[str, int]
    ) -> None:
        for gateway, at in gateways.items():
            ensure_gateway(session, gateway)
            session.execute(
                update(Gateway).where(Gateway.id == gateway).values(last_seen_at=_utc(at))
            )
        for meter in meters.keys() - self._known:
            ensure_meter(session, meter, meters[meter][0], _utc(meters[meter][1]))
        session.connection().execute(
            update(Meter.__table__)  # type: ignore[arg-type]
            .where(Meter.id == bindparam("meter"))
            .values(last_contact_at=bindparam("at")),
            [{"meter": meter, "at": _utc(at)} for meter, (_, at) in meters.items()],
        )


def ensure_gateway(session: Session, gateway: str) -> None:
    """Adds a gateway that the registry does not know."""
    insert_new(
        session,
        Gateway,
        {"id": gateway, "state": "unknown", "first_seen_at": datetime.now(UTC), "attributes": {}},
    )


def ensure_meter(session: Session, meter: str, gateway: str, first_seen_at: datetime) -> None:
    """Adds a meter that the registry does not know, as discovered."""
    ensure_gateway(session, gateway)
    insert_new(
        session,
        Meter,
        {
            "id": meter,
            "gateway_id": gateway,
            "state": "discovered",
            "life_support": False,
            "first_seen_at": first_seen_at,
        },
    )


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
