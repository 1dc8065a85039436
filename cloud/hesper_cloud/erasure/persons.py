"""A person goes from the record and the files that name it; what meters measured has orders."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from hesper_cloud.assets.forgetting import forget_customer
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import writing
from hesper_cloud.erasure import kept_files

ACTION = "person.erase"


def forget(
    registry: Engine, state: Path, customer: Customer, meters: Iterable[str], now: datetime
) -> dict[str, int]:
    """Forgets a customer, last of all; returns how many files went that named it or its meters."""
    names = [*meters, *kept_files.names_of(customer)]
    files = kept_files.remove(registry, state, names, now)
    with writing(registry) as session:
        forget_customer(session, customer.id, now)
    return files
