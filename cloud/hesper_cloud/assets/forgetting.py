"""What tells of a person is taken out of a meter, a customer and their histories."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hesper_cloud.assets import history
from hesper_cloud.assets.holdings import holdings
from hesper_cloud.assets.kinds import CUSTOMER, METER
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.registry import Meter

_NO_LONGER_KNOWN = ("address", "phone", "email")


def forget_household(session: Session, meter_id: str, at: datetime) -> int | None:
    """Takes name, address and place from a meter, and forgets its customer with the last meter.

    Returns the customer who has other meters yet and stays for them, or None.
    """
    meter = session.get(Meter, meter_id)
    if meter is None:
        return None
    customer_id = meter.customer_id
    for name in METER.personal:
        setattr(meter, name, None)
    meter.version += 1
    session.flush()
    history.forget(session, (METER.name, meter_id), METER.personal)
    if customer_id is None:
        return None
    others = select(func.count()).select_from(Meter).where(Meter.customer_id == customer_id)
    if session.scalar(others):
        return customer_id
    forget_customer(session, customer_id, at)
    return None


def forget_customer(session: Session, customer_id: int, at: datetime) -> None:
    """Takes all that tells of a person out of a customer's row, history and meters.

    Of the meters' histories the time goes when they were the person's.
    The row stays, deleted and without a name, so that what refers to its number still does.
    """
    row = session.get(Customer, customer_id)
    if row is None:
        return
    for name in _NO_LONGER_KNOWN:
        setattr(row, name, None)
    row.name, row.account_number = history.ERASED, f"{history.ERASED} {customer_id}"
    row.state, row.version = "inactive", row.version + 1
    row.deleted_at = row.deleted_at or at
    held = holdings(session, customer_id)
    served = update(Meter).where(Meter.customer_id == customer_id)
    emptied: dict[str, Any] = dict.fromkeys(METER.personal)
    session.execute(served.values(emptied | {"version": Meter.version + 1}))
    session.flush()
    history.forget(session, (CUSTOMER.name, str(customer_id)), CUSTOMER.personal)
    for each in held:
        what = (METER.name, each.meter)
        history.forget(session, what, METER.personal, each.since, each.until)
