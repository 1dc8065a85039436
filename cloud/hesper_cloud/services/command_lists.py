"""Which commands a list shows, and in which orders it can be had."""

from datetime import datetime

from sqlalchemy import Select, select

from hesper_cloud.authority.policy import JOBS
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.paging import Order, Orders
from hesper_cloud.services.records import OPEN_COMMAND_STATES

ORDERS = Orders(
    by={
        "created_at": Order(CommandRecord.created_at, datetime),
        "updated_at": Order(CommandRecord.updated_at, datetime),
        "meter": Order(CommandRecord.meter, str),
    },
    unique=Order(CommandRecord.id, str),
    usual="-created_at",
)


def matching(
    state: str | None, meter: str | None, gateway: str | None = None
) -> Select[CommandRecord]:
    """Returns commands of a state (``open``: all that may change), of one meter or all.

    With a gateway: those that are for itself, and for none of its meters. Those of batches are in
    the lists of their meters and gateways alone, where they do not hide the others.
    """
    query = select(CommandRecord).where(CommandRecord.requester != JOBS)
    if gateway:
        query = query.where(CommandRecord.gateway == gateway, CommandRecord.meter == "")
    elif not meter:
        query = query.where(CommandRecord.batch.is_(None))
    if state == "open":
        query = query.where(CommandRecord.state.in_(OPEN_COMMAND_STATES))
    elif state:
        query = query.where(CommandRecord.state == state)
    if meter:
        query = query.where(CommandRecord.meter == meter)
    return query
