"""Results batches become rows, octet for octet; the authority verifies them, not ingest."""

from datetime import datetime

from hesper_contracts import results
from hesper_contracts.frame import Refused
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db import registry
from hesper_cloud.ingest.message import Message

_MAX_ID = 128


class ResultRows:
    """Files command results under the command they claim to be about."""

    def decode(self, message: Message) -> str:
        """Returns the id of the command, unverified; raises Refused."""
        command_id = results.named(message.payload).command_id
        if not 0 < len(command_id) <= _MAX_ID:
            raise Refused(f"a command id has 1 to {_MAX_ID} characters")
        return command_id

    def insert(self, session: Session, message: Message, decoded: str, stored_at: datetime) -> None:
        """Adds the result to the transaction."""
        session.add(
            registry.Result(
                command_id=decoded,
                gateway=message.gateway,
                payload=message.payload,
                received_at=stored_at,
            )
        )
        metrics.RESULTS.inc()
