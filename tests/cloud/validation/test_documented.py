"""The table of checks in the documents says what the code does."""

from pathlib import Path

from hesper_cloud.thresholds import Thresholds, Validation
from hesper_cloud.validation.codes import CHECKS, Check

PAGE = Path(__file__).parents[3] / "docs" / "validation.md"


def row(check: Check) -> str:
    limits = Thresholds().model_dump()
    told = [f"`{name}` {str(limits[name]).lower()}" for name in check.thresholds]
    doubted = "yes" if check.doubted else "no"
    return (
        f"| {check.name} | {check.text} | {', '.join(told) or '–'} | `{check.code}` | {doubted} |"
    )


def test_the_page_lists_every_check_with_its_thresholds_and_code():
    table = PAGE.read_text().partition("<!-- checks:")[2].partition("<!-- /checks -->")[0]
    assert table.splitlines()[3:] == [row(check) for check in CHECKS]


def test_every_threshold_belongs_to_a_check():
    named = [name for check in CHECKS for name in check.thresholds]
    assert sorted(named) == sorted(Thresholds.model_fields)


def test_a_type_of_meter_changes_what_it_names():
    told = Validation(types={"ct-*": {"highest_load_w": 5}, "x": {"zero_h": 1}})
    assert told.of("ct-200").highest_load_w == 5
    assert told.of("ct-200").zero_h == Thresholds().zero_h
    assert told.of(None) == told.of("other") == Thresholds()
