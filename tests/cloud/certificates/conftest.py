"""A head end with a certificate authority of its own."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import certificates
from hesper_cloud.authority import broker_files
from hesper_cloud.certificates import Desk

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def desk(head_end: Any) -> Desk:
    """A head end with an authority of its own."""
    desk = Desk(head_end.settings, head_end.databases, head_end.clock.now)
    certificates.begin(desk, "Hesper", below_root=False)
    return desk


@pytest.fixture(autouse=True)
def told_in_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One turn of the authority tells the broker, however long a busy machine takes for it."""
    monkeypatch.setattr(broker_files, "_AT_ONCE_S", 60.0)
