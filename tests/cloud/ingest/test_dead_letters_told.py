"""The log tells of dead letters, and is no sender's to fill."""

import logging
from pathlib import Path

import pytest
from hesper_cloud.db.engines import open_engine
from hesper_cloud.ingest.dead_letters import DeadLetters
from tables import make_tables

FLOODING, OTHER = "hesper/v1/gw-1/up/readings", "hesper/v1/gw-2/up/readings"


def test_letters_without_end_on_one_topic_do_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    make_tables(engine)
    letters = DeadLetters(engine)
    with caplog.at_level(logging.WARNING):
        for number in range(300):
            letters.add(FLOODING, b"nonsense %d" % number, "not a Hesper payload")
        letters.add(OTHER, b"nonsense", "not a Hesper payload")
    told = [record.getMessage() for record in caplog.records]
    assert 0 < sum(FLOODING in line for line in told) < 150
    assert sum(OTHER in line for line in told) == 1
