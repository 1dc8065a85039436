"""An order to erase: audited first, then written down, and standing until it is carried out."""

from datetime import datetime

from sqlalchemy import Engine, select

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Erasure, Meter
from hesper_cloud.provision import Databases, ProvisioningError, note

ACTION = "meter.erase"


Span = tuple[datetime | None, datetime | None]
ALL: Span = (None, None)


def order(
    databases: Databases,
    meter: str,
    reason: str,
    now: datetime,
    span: Span = ALL,
    *,
    forget_customer: bool = False,
) -> int:
    """Orders that what is stored of a meter is erased; returns the order's number.

    Asked for again while an order stands, the same order is meant, and all its passes are made from
    now on; every asking is audited.

    Args:
        databases: Of the head end.
        meter: By its name.
        reason: Why; it stays in the audit log.
        now: When.
        span: Of which time, its end left out; None: from the beginning, to the end.
        forget_customer: Whether name and address in the meter's row go, too.

    Raises:
        ProvisioningError: there is no such meter, or no reason.
    """
    if not reason.strip():
        raise ProvisioningError("an erasure has a reason")
    with reading(databases.registry) as session:
        if session.get(Meter, meter) is None:
            raise ProvisioningError(f"there is no meter {meter}")
    what = f"readings and what was made of them{told(span)}"
    with writing(databases.authority) as session:
        after = f"erased: {what}{', name and address of the customer' * forget_customer}"
        audit_row = note(session, ACTION, meter, None, after, reason)
    with writing(databases.registry) as session:
        standing = select(Erasure).where(
            Erasure.meter == meter,
            Erasure.from_at == span[0],
            Erasure.to_at == span[1],
            Erasure.finished_at.is_(None),
        )
        row = session.scalars(standing).first()
        if row is None:
            row = Erasure(meter=meter, forget_customer=False, ordered_at=now, passes=0, removed={})
            row.from_at, row.to_at = span
            session.add(row)
        row.reason, row.audit_row, row.passes = reason, audit_row, 0
        row.forget_customer = row.forget_customer or forget_customer
        session.flush()
        return row.id


def told(span: Span) -> str:
    """Returns a time in words, nothing where it has neither beginning nor end."""
    words = [
        f"{word} {moment.isoformat(timespec='seconds')}"
        for word, moment in zip(("from", "to"), span, strict=True)
        if moment is not None
    ]
    return "".join(f" {each}" for each in words)


def outcome(registry: Engine, order_id: int) -> Erasure | None:
    """Returns an order that was carried out; None while it stands."""
    with reading(registry) as session:
        row = session.get_one(Erasure, order_id)
    return None if row.finished_at is None else row
