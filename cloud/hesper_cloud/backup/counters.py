"""Command counters after a restore: those that were used since the backup are not used again.

A gateway refuses a counter that it has seen. Which ones it has comes with its next status only, and
a command before that would be refused as a replay. So counters go on at the present time in
seconds, which none that is taken one by one gets to, and which is further still at the next
restore.
"""

from datetime import datetime

from sqlalchemy import Engine, select

from hesper_cloud.db.authority import GatewayCounter
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway


def skip_used(registry: Engine, authority: Engine, now: datetime) -> None:
    """Takes the counter of every gateway past all that it may have seen; safe to repeat."""
    with reading(registry) as session:
        gateways = session.scalars(select(Gateway.id)).all()
    with writing(authority) as session:
        for gateway in gateways:
            row = session.get(GatewayCounter, gateway) or GatewayCounter(gateway=gateway, next=1)
            row.next = max(row.next, int(now.timestamp()))
            session.add(row)
