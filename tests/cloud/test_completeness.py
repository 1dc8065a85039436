"""How many captures were due, and how many of them are stored."""

import numpy as np
import pytest
from hesper_cloud.services.completeness import Due, count

NOW = 1_800_000_000 // 3600 * 3600 + 600  # ten past the hour
LATEST = NOW // 900 * 900
DAY = np.arange(LATEST - 86_400, LATEST + 1, 900, dtype=np.int64)


def shares(meters, captured):
    ledger = count(meters, captured, NOW, 900)
    return int(ledger.due.sum()), int(ledger.stored.sum()), ledger.percent()


def test_a_meter_that_brought_its_history_owes_it_from_the_first_stored_capture():
    due, stored, percent = shares({"m": Due(NOW - 60, 900)}, {"m": DAY})
    assert due == stored == 23 * 4
    assert percent == 100.0
    without_an_hour = DAY[(DAY < LATEST - 7200) | (DAY >= LATEST - 3600)]
    assert shares({"m": Due(NOW - 60, 900)}, {"m": without_an_hour})[:2] == (92, 88)


def test_a_meter_on_record_owes_what_it_never_delivered():
    assert shares({"m": Due(NOW - 86_400, 900)}, {}) == (92, 0, 0.0)


@pytest.mark.parametrize("since", [NOW - 60, NOW - 86_400])
def test_a_meter_that_only_pushes_owes_no_load_profile(since):
    assert shares({"m": Due(since, None)}, {}) == (0, 0, None)
    assert shares({"m": Due(since, None)}, {"m": DAY})[0] == 92
