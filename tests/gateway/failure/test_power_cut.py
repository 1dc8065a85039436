"""Power cuts at every step that a gateway takes on its card; nothing promised is lost."""

import random
from pathlib import Path

import pytest
from hesper_lab.powercut.disk import Card
from hesper_lab.powercut.recording import NoRecorder, Step
from hesper_lab.powercut.survey import Found, record_workload, survey


def cut(folder: Path, torn: int, synchronous: str = "FULL") -> Found:
    try:
        steps, keys = record_workload(folder, pages=16, synchronous=synchronous)
    except NoRecorder as why:
        pytest.skip(f"nothing can be recorded here: {why}")
    return survey(steps, keys, torn, seed=1)


@pytest.mark.integration
def test_no_cut_breaks_a_promise(tmp_path: Path) -> None:
    found = cut(tmp_path, torn=6)
    assert found.broken == []
    assert found.steps > 200
    assert found.images > 500


@pytest.mark.integration
def test_the_survey_notices_a_weaker_database(tmp_path: Path) -> None:
    broken = cut(tmp_path, torn=0, synchronous="NORMAL").broken
    for word in ("is lost", "mark", "counter"):
        assert any(word in line for line in broken), word


def test_a_card_keeps_what_was_synchronised_and_perhaps_the_rest() -> None:

    card = Card()
    for step in (
        Step("create", "a"),
        Step("write", "a", b"A" * 1024, 0),
        Step("sync", "a"),
        Step("sync", ""),
        Step("write", "a", b"B" * 1024, 0),
        Step("create", "b"),
    ):
        card.take(step)
    least, most, *torn = card.images(random.Random(1), 30)
    assert least == {"a": b"A" * 1024}
    assert most == {"a": b"B" * 1024, "b": b""}
    contents = {image["a"] for image in torn}
    sectors = b"A" * 512, b"B" * 512
    assert contents == {left + right for left in sectors for right in sectors}
    assert {"b" in image for image in torn} == {True, False}


def test_a_name_that_no_sync_made_sure_of_may_be_lost() -> None:

    card = Card()
    for step in (Step("create", "a"), Step("sync", ""), Step("rename", "a", b"b")):
        card.take(step)
    least, most = card.images(random.Random(1), 0)
    assert (list(least), list(most)) == (["a"], ["b"])
