"""The order to erase one person: audited, then the orders for the meters, then the record.

The audit log keeps the customer's number, which tells nothing once the record behind it is empty.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from hesper_cloud.assets.forgetting import forget_customer
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.erasure import kept_files, ordering
from hesper_cloud.privacy.whose import customer_of, holdings
from hesper_cloud.provision import Databases, ProvisioningError, note

ACTION = "person.erase"


@dataclass(frozen=True, slots=True)
class PersonOrder:
    """What was ordered: orders by number, meters that serve others by now, files removed."""

    customer: int
    orders: tuple[int, ...]
    others: tuple[str, ...]
    files: dict[str, int]


def order(
    databases: Databases, state: Path, account: str, reason: str, now: datetime
) -> PersonOrder:
    """Orders the erasure of a person; killed half-way, ask again by the same account number.

    Raises:
        ProvisioningError: there is no such customer, no reason, or the reason names the person.
    """
    if not reason.strip():
        raise ProvisioningError("an erasure has a reason")
    with reading(databases.registry) as session:
        customer = customer_of(session, account)
        _refuse_names(customer, reason)
        meters = {each.meter for each in holdings(session, customer.id)}
        serving = dict(
            session.execute(select(Meter.id, Meter.customer_id).where(Meter.id.in_(meters))).all()
        )
    own = sorted(m for m, holder in serving.items() if holder in (customer.id, None))
    others = sorted(serving.keys() - set(own))
    with writing(databases.authority) as session:
        after = f"erased: the record, and what meters {', '.join(own) or 'none'} measured"
        note(session, ACTION, f"customer {customer.id}", None, after, reason)
    orders = [ordering.order(databases, meter, reason, now, forget_customer=True) for meter in own]
    names = kept_files.names_of(customer)
    files = kept_files.remove(databases.registry, state, [*own, *names], now)
    with writing(databases.registry) as session:
        forget_customer(session, customer.id, now)
    return PersonOrder(customer.id, tuple(orders), tuple(others), files)


def _refuse_names(customer: Customer, reason: str) -> None:
    personal = (customer.name, customer.account_number, customer.email, customer.phone)
    if any(word and word.lower() in reason.lower() for word in personal):
        raise ProvisioningError(
            "the reason stays in the audit log for good: do not name the person"
        )
