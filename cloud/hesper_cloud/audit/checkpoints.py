"""Checkpoints of the audit log: signed at intervals and when the authority stops, and told.

A checkpoint is durable here before any gateway hears of it, so one that a gateway holds and this
database does not have is always a sign that rows are missing. It is published retained to every
gateway of which a key is on record, again on each new connection, and to whom is new among them.
"""

from datetime import datetime, timedelta
from typing import Protocol

from hesper_contracts import witness
from hesper_contracts.signing import Signer
from hesper_contracts.witness import Checkpoint
from sqlalchemy import Engine, select

from hesper_cloud.db.authority import AuditCheckpoint, AuditRow, GatewayKey
from hesper_cloud.db.engines import reading, writing

_LOOK_FOR_NEW_S = 5.0


class WitnessOutlet(Protocol):
    """Where checkpoints leave."""

    @property
    def connection(self) -> int:
        """The number of the present connection; 0 while there is none."""
        ...

    def publish_witness(self, gateway: str, payload: bytes) -> bool:
        """Publishes a checkpoint retained; False when there is no connection now."""
        ...


class Checkpoints:
    """Writes and publishes them; every call comes from the deciding thread."""

    def __init__(
        self, authority: Engine, signer: Signer, outlet: WitnessOutlet, every_s: float
    ) -> None:
        self._authority = authority
        self._signer = signer
        self._outlet = outlet
        self._every = timedelta(seconds=every_s)
        self._written_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._newest: bytes | None = None
        self._told: set[str] = set()
        self._connection = 0

    def turn(self, now: datetime) -> None:
        """Writes one if it is time and rows have come, and tells whom it was not told yet."""
        if self._written_at is None or abs(now - self._written_at) >= self._every:
            self.write(now)
        self._tell(now)

    def close(self, now: datetime) -> None:
        """Writes and tells the last one before the authority stops."""
        self.write(now)
        self._looked_at = None
        self._tell(now)

    def write(self, now: datetime) -> None:
        """Signs how the log stands, if it has grown since the last one."""
        with writing(self._authority) as session:
            row = session.scalars(
                select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1)
            ).first()
            last = session.scalars(
                select(AuditCheckpoint).order_by(AuditCheckpoint.sequence.desc()).limit(1)
            ).first()
            if row is not None and (last is None or last.sequence < row.sequence):
                said = Checkpoint(sequence=row.sequence, head=row.hash, at=now)
                payload = witness.to_payload(said, self._signer)
                last = AuditCheckpoint(
                    sequence=row.sequence, head=row.hash, at=now, payload=payload
                )
                session.add(last)
        self._written_at = now
        if last is not None and last.payload != self._newest:
            self._newest, self._told, self._looked_at = last.payload, set(), None

    def _tell(self, now: datetime) -> None:
        connection = self._outlet.connection
        if connection != self._connection:
            self._connection, self._told, self._looked_at = connection, set(), None
        is_known = self._looked_at is not None and (
            abs(now - self._looked_at) < timedelta(seconds=_LOOK_FOR_NEW_S)
        )
        if self._newest is None or not connection or is_known:
            return
        self._looked_at = now
        with reading(self._authority) as session:
            gateways = session.scalars(select(GatewayKey.gateway)).all()
        for gateway in gateways:
            if gateway not in self._told and self._outlet.publish_witness(gateway, self._newest):
                self._told.add(gateway)
