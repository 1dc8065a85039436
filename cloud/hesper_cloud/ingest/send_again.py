"""Asks gateways for receipted batches again, when an operator says so.

After a restore the head end asks by itself (`hesper_cloud.backup.sending_again`); this is for what
else may have been lost. Wishes wait in the registry; ingest signs and publishes them once it is
connected. The broker keeps them for gateways that are away.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from hesper_contracts import again
from hesper_contracts.again import SendAgain
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Signer
from hesper_contracts.topics import gateway_id
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import AgainAsk
from hesper_cloud.ingest.receipts import Publish

PRESENT_EPOCH = ""
EVERY_S = 1.0


def ask(session: Session, gateway: str, epoch: str, from_sequence: int) -> None:
    """Notes a wish in the transaction; with `PRESENT_EPOCH` for the outbox the gateway has now.

    Raises:
        Refused: no gateway can have this name.
    """
    session.merge(
        AgainAsk(
            gateway=gateway_id(gateway),
            epoch=epoch,
            from_sequence=from_sequence,
            asked_at=datetime.now(UTC),
            sent_at=None,
        )
    )


class SendsAgain:
    """Publishes what is asked for and not sent yet."""

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        publish: Publish,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._signer = signer
        self._publish = publish
        self._monotonic = monotonic
        self._due_at = 0.0

    def flush(self) -> None:
        """Publishes waiting wishes once a second; call it only while the consumer is connected."""
        if self._monotonic() < self._due_at:
            return
        self._due_at = self._monotonic() + EVERY_S
        with reading(self._engine) as session:
            waiting = session.scalars(select(AgainAsk).where(AgainAsk.sent_at.is_(None))).all()
        for wish in waiting:
            self._send(wish)

    def _send(self, wish: AgainAsk) -> None:
        told = SendAgain(wish.gateway, wish.epoch or None, wish.from_sequence)
        self._publish(wish.gateway, Kind.AGAIN, again.to_payload(told, self._signer))
        same = (AgainAsk.gateway == wish.gateway, AgainAsk.epoch == wish.epoch)
        with writing(self._engine) as session:
            session.execute(update(AgainAsk).where(*same).values(sent_at=datetime.now(UTC)))
