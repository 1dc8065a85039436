"""The order to erase one person: audited, then the orders for the meters, then the record.

The audit log keeps the customer's number, which tells nothing once the record behind it is empty.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hesper_cloud.assets.holdings import holdings
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.erasure import ordering, persons
from hesper_cloud.privacy import exporting
from hesper_cloud.privacy.whose import customer_of
from hesper_cloud.provision import Databases, ProvisioningError, note


@dataclass(frozen=True, slots=True)
class PersonOrder:
    """What was ordered: orders by number, files removed."""

    customer: int
    orders: tuple[int, ...]
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
        held = holdings(session, customer.id)
    meters = sorted({each.meter for each in held})
    with writing(databases.authority) as session:
        after = f"erased: the record, and what meters {', '.join(meters) or 'none'} measured for it"
        note(session, persons.ACTION, f"customer {customer.id}", None, after, reason)
    orders = [
        ordering.order(databases, each.meter, reason, now, (each.since, each.until))
        for each in held
    ]
    unfetched = exporting.discard(databases.registry, state, customer.id)
    files = persons.forget(databases.registry, state, customer, meters, now)
    files |= {"exports of all data": unfetched}
    return PersonOrder(customer.id, tuple(orders), files)


def _refuse_names(customer: Customer, reason: str) -> None:
    personal = (customer.name, customer.account_number, customer.email, customer.phone)
    if any(word and word.lower() in reason.lower() for word in personal):
        raise ProvisioningError(
            "the reason stays in the audit log for good: do not name the person"
        )
