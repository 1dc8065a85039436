"""The console on the double of the cloud's services."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from console_double.services import DoubleServices


@pytest.fixture
def services() -> DoubleServices:
    """Fresh services over a fresh fleet."""
    return DoubleServices()
