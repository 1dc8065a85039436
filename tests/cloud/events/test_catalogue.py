"""The catalogue knows what the templates of meters map their codes to, and what gateways tell."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hesper_cloud.events import catalogue
from hesper_cloud.events.catalogue import Group

TEMPLATES = sorted(each for each in Path(str(files("hesper_gateway.templates"))).glob("*.toml"))
GATEWAY = Path(str(files("hesper_gateway")))
TOLD = re.compile(
    r"""(?:code=|_event\(\s*|\btell\(\s*|critical\(\s*|=\s*)"((?:gateway|meter|clock|push|tunnel)\.[a-z_]+)\""""
)
NO_EVENTS = re.compile(
    r"gateway\.(toml|db|key|log|json|configure|restart|update|x)|meter\.json|clock\.sync|tunnel\.open"
)


def mapped(template: Path) -> dict[str, dict[str, str]]:
    events = tomllib.loads(template.read_text(encoding="utf-8")).get("events", {})
    return {each["code"]: each for each in events.values()}


@pytest.mark.parametrize("template", [t for t in TEMPLATES if mapped(t)], ids=lambda t: t.stem)
def test_every_code_of_a_template_is_in_the_catalogue_with_its_severity(template: Path) -> None:
    known = catalogue.entries()
    told = {code: each.get("severity", "info") for code, each in mapped(template).items()}
    assert told == {code: known[code].severity for code in told if code in known}


def test_every_event_of_a_gateway_itself_is_in_the_catalogue() -> None:
    told = {
        code
        for module in GATEWAY.rglob("*.py")
        for code in TOLD.findall(module.read_text(encoding="utf-8"))
        if not NO_EVENTS.fullmatch(code)
    }
    assert len(told) > 15
    assert told - set(catalogue.entries()) == set()


def test_every_group_has_codes_and_an_end_belongs_to_a_beginning() -> None:
    known = catalogue.entries()
    assert {entry.group for entry in known.values()} == set(Group)
    assert all(entry.ends in known for entry in known.values() if entry.ends is not None)
    assert catalogue.ended_by("tamper.cover_opened") == ("tamper.cover_closed",)
    assert "power.down" in catalogue.codes_of([Group.POWER])


def test_a_code_that_nobody_knows_is_said_to_be_unknown() -> None:
    assert catalogue.group_of("meter.code_4711") == "unknown"
    assert catalogue.title_of("meter.code_4711") == "Unknown event meter.code_4711"
