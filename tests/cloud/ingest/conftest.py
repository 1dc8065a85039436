"""An ingest role and a gateway on a broker of the test's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ingest_ends import GatewayEnd, Head


@pytest.fixture
def head(tmp_path: Path, broker: Any) -> Iterator[Head]:
    made = Head(tmp_path, broker.port)
    yield made
    made.store.close()
    made.engine.dispose()


@pytest.fixture
def gateway(broker: Any) -> Iterator[GatewayEnd]:
    end = GatewayEnd(broker.port)
    yield end
    end.close()
