"""Whose data is meant: a customer by account number."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.assets import Customer
from hesper_cloud.provision import ProvisioningError


def customer_of(session: Session, account: str) -> Customer:
    """Returns a customer by account number.

    Raises:
        ProvisioningError: there is none.
    """
    found = session.scalar(select(Customer).where(Customer.account_number == account))
    if found is None:
        raise ProvisioningError(f"there is no customer with the account number {account!r}")
    return found
