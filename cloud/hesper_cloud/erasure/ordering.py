"""An order to erase: audited first, then written down, and standing until it is carried out."""

from datetime import datetime

from sqlalchemy import Engine, select

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Erasure, Meter
from hesper_cloud.provision import Databases, ProvisioningError, note

ACTION = "meter.erase"


def order(
    databases: Databases, meter: str, reason: str, now: datetime, *, forget_customer: bool = False
) -> int:
    """Orders that what is stored of a meter is erased; returns the order's number.

    Asked for again while an order stands, the same order is meant; every asking is audited.

    Raises:
        ProvisioningError: there is no such meter, or no reason.
    """
    if not reason.strip():
        raise ProvisioningError("an erasure has a reason")
    with reading(databases.registry) as session:
        if session.get(Meter, meter) is None:
            raise ProvisioningError(f"there is no meter {meter}")
    what = "readings and what was made of them"
    with writing(databases.authority) as session:
        after = f"erased: {what}{', name and address of the customer' * forget_customer}"
        audit_row = note(session, ACTION, meter, None, after, reason)
    with writing(databases.registry) as session:
        standing = select(Erasure).where(Erasure.meter == meter, Erasure.finished_at.is_(None))
        row = session.scalars(standing).first()
        if row is None:
            row = Erasure(meter=meter, forget_customer=False, ordered_at=now, passes=0, removed={})
            session.add(row)
        row.reason, row.audit_row = reason, audit_row
        row.forget_customer = row.forget_customer or forget_customer
        session.flush()
        return row.id


def outcome(registry: Engine, order_id: int) -> Erasure | None:
    """Returns an order that was carried out; None while it stands."""
    with reading(registry) as session:
        row = session.get_one(Erasure, order_id)
    return None if row.finished_at is None else row
