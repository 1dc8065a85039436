"""What a gateway signed of a range that it read."""

import msgspec
from hesper_contracts import results
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Keyring
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Gateway, Result


def row_count(session: Session, gateway: str, command_id: str) -> int | None:
    """Returns how many rows the gateway says it read; None when nothing signed says so.

    Only results count that the authority has verified; the signature is checked once more, because
    this is the proof on which captures are given up.
    """
    row = session.get(Gateway, gateway)
    if row is None or row.public_key is None:
        return None
    keys = Keyring.of(bytes.fromhex(row.public_key))
    query = select(Result.payload).where(
        Result.command_id == command_id, Result.gateway == gateway, Result.verified.is_(True)
    )
    for payload in session.scalars(query.order_by(Result.id.desc())):
        try:
            result = results.from_payload(payload, keys, gateway)
        except Refused:
            continue
        if result.state == "confirmed" and not isinstance(result.findings, msgspec.UnsetType):
            return result.findings.row_count
    return None
