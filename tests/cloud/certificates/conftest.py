"""A head end with a certificate authority of its own."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import certificates
from hesper_cloud.certificates import Desk

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def desk(head_end: Any) -> Desk:
    """A head end with an authority of its own."""
    desk = Desk(head_end.settings, head_end.databases, head_end.clock.now)
    certificates.begin(desk, "Hesper", below_root=False)
    return desk
