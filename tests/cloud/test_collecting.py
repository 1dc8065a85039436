"""What was loaded to start is no work for the garbage collector any more."""

import gc
from collections.abc import Iterator

import pytest
from hesper_cloud import app


@pytest.fixture
def collector() -> Iterator[None]:
    """Sets aside nothing when the test begins; what the run has set aside is so again after it."""
    thresholds = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.freeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("collector")
def test_what_stays_is_set_aside_once_all_is_loaded() -> None:
    tracked = len(gc.get_objects())
    app._set_aside_what_stays()
    assert gc.get_freeze_count() > tracked / 2
    assert len(gc.get_objects()) < tracked / 10
    assert gc.isenabled()
