"""Work that waits is said once, then once that it goes on, with how often it was tried."""

import logging
from collections.abc import Callable

import pytest
from hesper_cloud.stores.errors import StoreUnavailable
from hesper_cloud.turns import Job, perform
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns what was said since it was last asked."""
    caplog.set_level(logging.INFO)

    def since() -> list[str]:
        texts = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
        caplog.clear()
        return texts

    return since


def test_a_job_that_waits_for_the_store_says_so_once(said: Callable[[], list[str]]) -> None:
    problems: list[Exception] = [StoreUnavailable("gone")] * 100

    def act() -> None:
        if problems:
            raise problems.pop()

    job = Job("gaps", 5.0, act)
    for _ in range(100):
        assert perform(job) == "put off: gone"
    away = "WARNING job 'gaps' put off, tried again until it can be done: gone"
    assert said() == [away]
    assert perform(job) is None
    assert perform(job) is None
    assert said() == ["INFO job 'gaps' goes on; it was put off 100 times"]
    problems.append(StoreUnavailable("gone"))
    perform(job)
    assert said() == [away], "the next time is news"


def test_another_reason_is_said_too(said: Callable[[], list[str]]) -> None:
    locked = OperationalError("SELECT", None, Exception("database is locked"))
    problems = [locked, StoreUnavailable("gone"), StoreUnavailable("gone")]

    def act() -> None:
        raise problems.pop()

    job = Job("gaps", 5.0, act)
    for _ in range(3):
        perform(job)
    first, second = said()
    assert "gone" in first
    assert "database is locked" in second


def test_a_fault_of_one_job_is_a_failed_turn_and_told_with_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    problems: list[Exception] = [PermissionError(13, "no", "manifest.json"), OverflowError("big")]

    def act() -> None:
        raise problems[-1]

    job = Job("a faulty one", 5.0, act)
    for _ in range(2):
        assert perform(job) == "failed: OverflowError: big"
    (record,) = caplog.records
    assert (record.levelname, record.exc_info and record.exc_info[1]) == ("ERROR", problems[-1])
    problems.pop()
    assert perform(job) == "failed: PermissionError: [Errno 13] no: 'manifest.json'"
    failed = REGISTRY.get_sample_value(
        "hesper_job_runs_total", {"job": "a faulty one", "outcome": "failed"}
    )
    assert failed == 3


def test_who_ends_the_process_is_not_put_off() -> None:
    def act() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        perform(Job("backups", 5.0, act))
