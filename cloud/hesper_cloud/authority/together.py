"""Loads at once what a transaction over many commands asks for one by one.

SQLAlchemy finds a row in memory for as long as somebody holds it: whoever keeps what these
functions return spares the database a question for every command.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.authority import (
    CommandRecord,
    GatewayCounter,
    GatewayKey,
    KillSwitch,
    Protection,
    User,
)


def commands(session: Session, ids: Sequence[str]) -> dict[str, CommandRecord]:
    """Returns those commands that there are, by their ids."""
    query = select(CommandRecord).where(CommandRecord.id.in_(ids))
    return {command.id: command for command in session.scalars(query)}


def around(session: Session, several: Sequence[CommandRecord]) -> list[object]:
    """Returns the accounts, keys, counters and protections that these commands depend on."""
    gateways = {command.gateway for command in several}
    people = {command.requester for command in several}
    people |= {command.approver for command in several if command.approver}
    meters = {command.meter for command in several}
    queries = (
        select(User).where(User.username.in_(people)),
        select(GatewayKey).where(GatewayKey.gateway.in_(gateways)),
        select(GatewayCounter).where(GatewayCounter.gateway.in_(gateways)),
        select(Protection).where(Protection.meter.in_(meters)),
        select(KillSwitch),
    )
    return [row for query in queries for row in session.scalars(query)]
