"""Trying until something is stored: how long it waits, and what it says."""

import logging
import threading

import pytest
from hesper_cloud.ingest.persist import Stopped, until_stored
from hesper_cloud.stores.port import StoreUnavailable


class Waits(threading.Event):
    """Notes how long it would have waited; set after a number of waits."""

    def __init__(self, most: int = 10_000) -> None:
        super().__init__()
        self.waited_s: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout or 0.0)
        return len(self.waited_s) >= self._most


def away_for(seconds: float, stop: Waits, reasons: list[str]) -> str:
    def action() -> str:
        if sum(stop.waited_s) < seconds:
            raise StoreUnavailable(reasons[len(stop.waited_s) * len(reasons) // 1900])
        return "stored"

    return until_stored(action, stop)


def test_a_store_that_was_away_for_an_hour_is_used_within_seconds_of_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = Waits()
    with caplog.at_level(logging.WARNING):
        assert away_for(3600.0, stop, ["refused"]) == "stored"
    assert sum(stop.waited_s) - 3600.0 <= 2.0
    assert stop.waited_s[:3] == [0.1, 0.2, 0.4]
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "not stored, tried again until it is: refused"
    assert len(told) == 2  # when it went and when it came back
    assert told[1].startswith("stored after")


def test_another_reason_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        away_for(3600.0, Waits(), ["refused", "disk full"])
    assert [record.getMessage()[-9:] for record in caplog.records[:2]] == [": refused", "disk full"]


def test_it_ends_when_told_to() -> None:
    with pytest.raises(Stopped):
        away_for(3600.0, Waits(most=3), ["refused"])
