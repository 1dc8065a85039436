"""What the gateway's tests share: a real database file, an outbox on it, readings to put in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.signing import Signer
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox

ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


def section_of(meter: str, first: int, count: int = 6) -> Section:
    """Readings of one meter, one per 900 s."""
    times = [first + 900 * index for index in range(count)]
    values: list[int | None] = [1000 + 7 * index for index in range(count)]
    rows = MeterRows(meter, times, [0] * count, [0] * count, [values])
    return Section(LOAD_PROFILE, times[-1] + 1, (ENERGY,), [rows])


@pytest.fixture
def section() -> Callable[..., Section]:
    return section_of


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "gateway.db", ballast_octets=4096)
    yield database
    database.close()


@pytest.fixture(scope="session")
def gateway_key() -> Signer:
    return Signer.generate()


@pytest.fixture
def outbox(database: Database, gateway_key: Signer) -> Outbox:
    return Outbox(database, gateway_key)
