"""What cursors of the change feed mean after restores."""

import pytest
from hesper_cloud.stores.lineage import Epoch, Lineage, StartAgain, born, restored


def lineage(*epochs: Epoch) -> Lineage:
    return Lineage(epochs, lambda commit: f"{commit}.end")


FIRST = [Epoch("aaaaaaaa")]
AFTER_10 = [Epoch("aaaaaaaa", 10), Epoch("bbbbbbbb")]
AFTER_10_TWICE = [Epoch("aaaaaaaa", 10), Epoch("cccccccc")]
AFTER_30 = [Epoch("aaaaaaaa", 10), Epoch("bbbbbbbb", 30), Epoch("dddddddd")]


@pytest.mark.parametrize(
    ("given_by", "cursor", "asked_of", "goes_on"),
    [
        (FIRST, "7.1", FIRST, "7.1"),
        (FIRST, "7.1", AFTER_10, "7.1"),
        (FIRST, "10.4", AFTER_30, "10.4"),
        (FIRST, "11.0", AFTER_10, "again aaaaaaaa_10_bbbbbbbb-10.end"),
        (FIRST, "11.0", AFTER_30, "again aaaaaaaa_10_bbbbbbbb_30_dddddddd-10.end"),
        (AFTER_10, "25.0", AFTER_30, "25.0"),
        (AFTER_10, "31.0", AFTER_30, "again aaaaaaaa_10_bbbbbbbb_30_dddddddd-30.end"),
        (AFTER_10, "25.0", AFTER_10_TWICE, "again aaaaaaaa_10_cccccccc-10.end"),
        (AFTER_30, "35.0", AFTER_10_TWICE, "again aaaaaaaa_10_cccccccc-10.end"),
        (AFTER_30, "35.0", FIRST, "again aaaaaaaa-10.end"),
        (AFTER_30, "35.0", AFTER_10, "again aaaaaaaa_10_bbbbbbbb-30.end"),
        (AFTER_30, "30.2", AFTER_10, "30.2"),
        (AFTER_30, "25.0", AFTER_10, "25.0"),  # a slow reader: starting after 30 would lose some
        (AFTER_30, "7.0", FIRST, "7.0"),
        (AFTER_30, "7.0", AFTER_10_TWICE, "7.0"),
        ([born()], "3.0", AFTER_10, "again "),
    ],
)
def test_a_cursor_is_good_as_far_as_both_stores_are_one(
    given_by: list[Epoch], cursor: str, asked_of: list[Epoch], goes_on: str
) -> None:
    given, asked = lineage(*given_by).marked(cursor), lineage(*asked_of)
    if not goes_on.startswith("again"):
        assert asked.own(given) == goes_on
        return
    with pytest.raises(StartAgain) as told:
        asked.own(given)
    again = goes_on.removeprefix("again ")
    assert told.value.cursor == again
    assert asked.own(again) == again.partition("-")[2], "where to start again is good itself"


def test_a_cursor_of_before_there_were_epochs_is_of_the_first() -> None:
    assert lineage(*AFTER_10).own("9.1") == "9.1"
    with pytest.raises(StartAgain):
        lineage(*AFTER_10).own("11.1")
    assert lineage(*FIRST).own("") == lineage(*FIRST).marked("") == ""


@pytest.mark.parametrize(
    "given", ["x-1.0", "-1.0", "aaaaaaaa-", "aaaaaaaa_1.0", "aaaaaaaa_3-1.0", "aaaaaaaa-x", "\x00"]
)
def test_what_is_no_cursor_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        lineage(*FIRST).own(given)


def test_every_restore_begins_an_epoch_of_its_own() -> None:
    once, twice = restored(FIRST, 10), restored(FIRST, 10)
    assert once[0] == twice[0] == Epoch("aaaaaaaa", 10)
    assert once[1] != twice[1]
    assert restored(once, 30)[:2] == [once[0], Epoch(once[1].name, 30)]
