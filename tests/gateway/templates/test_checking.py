"""`template check`: every mistake with its line, its key, what is allowed and the nearest name."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hesper_gateway import templates
from hesper_gateway.templates.checking import check
from hesper_gateway.templates.writing import toml

WRONG = """\
extends = "generic-hdlc"
verifed = "unverified"

[link] # a comment = here
kind = "hldc"
max_information = 5

[addresses]
physical = "serial[-4:] + os"

[associations.reading]
authentication = "high-gmak"
client_adress = 3

[push]
objects.3 = [
  "1.0.1.8.0",
]

[events]
1 = { code = "x", txt = "y" }

[clock]
zone = "Europe/Wein"

[scaler_units]
"1.*.1.8.*.*" = { scaler = 1, unit = 400 }
"""


@pytest.fixture
def mistakes(tmp_path: Path) -> list[str]:
    file = tmp_path / "mine.toml"
    file.write_text(WRONG)
    return [str(each).removeprefix(str(file)) for each in check(file)]


@pytest.mark.parametrize(
    "says",
    [
        ":2: verifed: no such key (did you mean 'verified'?)",
        ":5: link.kind: 'hldc' is none of wrapper, hdlc, mbus, raw (did you mean 'hdlc'?)",
        ":6: link.max_information: should be greater than or equal to 32; it is 5",
        ":9: addresses.physical: 'os' has no place in a formula",
        ":12: associations.reading.authentication: 'high-gmak' is none of none, low, high-md5",
        ":13: associations.reading.client_adress: no such key (did you mean 'client_address'?)",
        ":16: push.objects.3: '1.0.1.8.0' is no logical name such as '1.0.1.8.0.255'",
        ":21: events.1.txt: no such key (did you mean 'text'?); there are: code, severity, text",
        ":23: clock: no time zone is named 'Europe/Wein'",
        ":27: scaler_units.1.*.1.8.*.*.unit: should be less than or equal to 255; it is 400",
    ],
)
def test_a_mistake_is_shown_where_it_is(mistakes: list[str], says: str) -> None:
    assert len(mistakes) == 10
    assert [each for each in mistakes if each.startswith(says)], mistakes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('extends = "generic-hdcl"', ":1: extends: no template is named 'generic-hdcl'"),
        ('extends = "generic-hdcl"', "(did you mean 'generic-hdlc'?)"),
        ('extends = "mine"', ":1: extends: template mine: inherits in a circle: mine > mine"),
        ("answer = ", ": no TOML: "),
        ('[link]\nkind = "wrapper"', ": description: is missing"),
        ('extends = "generic"\n[associations.reading]\nauthentication="high-ecdsa"', "needs secur"),
        ('extends = "generic"\n[times]\nanswer_s = inf', ":3: times.answer_s: should be a finite"),
        ('extends = "generic"\nreplaces = 3', "replaces must be a list of tables"),
        ('extends = "generic"\nreplaces = [["link"]]', "replaces must be a list of tables"),
        (f'extends = "{"a" * 300}"', ": File name too long"),
        (f"a = {'[' * 3000}{']' * 3000}", ": no TOML: "),
        (f"a = {'1' * 5000}", ": no TOML: "),
        ('extends = "generic"\n"we\\"ird" = 1', ': we"ird: no such key; there are: addresses'),
        (
            'extends = "generic"\n[link]\n"we\\"ird" = 1',
            ':2: link.we"ird: no such key; there are: a',
        ),
        ('[referencing.base_names]\n"3:999.0.1.8.0.255" = 3', "'999.0.1.8.0.255' is no logical n"),
    ],
)
def test_other_mistakes(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert says in "\n".join(map(str, check(file)))


def test_a_mistake_that_is_inherited_is_shown_in_its_own_template(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(WRONG)
    (tmp_path / "child.toml").write_text('extends = "mine"\n[link]\nkind = "hdlc"\n')
    found = [str(each) for each in check(tmp_path / "child.toml")]
    assert len(found) == 9
    assert found[-1].startswith("template mine:27: scaler_units")


@pytest.mark.parametrize("name", templates.names())
def test_what_ships_has_no_mistakes(name: str) -> None:
    folder = Path(templates.__file__).parent
    assert check(folder / f"{name}.toml") == []


def test_list_show_and_check_as_commands(tmp_path: Path, gateway: Any) -> None:
    listed = json.loads(gateway("template", "list", "--json").stdout)
    assert {each["name"] for each in listed} == set(templates.names())
    shown = gateway("template", "show", "is-15959-a")
    (tmp_path / "again.toml").write_text(shown.stdout)
    again, first = templates.load_own(tmp_path, "again"), templates.load("is-15959-a")
    assert again.model_copy(update={"name": first.name}) == first
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(WRONG)
    checked = gateway("template", "check", str(wrong), "--json")
    assert (checked.returncode, len(json.loads(checked.stdout))) == (1, 10)
    assert gateway("template", "check", str(tmp_path / "again.toml")).returncode == 0
    assert gateway("template", "show", "nowhere").returncode == 2


def test_toml_that_is_written_is_read_back() -> None:
    document = {
        "a": 'quote " and ü',
        "yes": True,
        "list": [f"1.0.{n}.8.0.255" for n in range(20)],
        "odd\x7f\n\\": "a\x7f\x00\u2028",
        "table": {"1.*.1": {"scaler": -3}, "plain": 2.5},
    }
    assert tomllib.loads(toml(document)) == document


def test_what_is_no_text_is_written_as_text() -> None:
    assert tomllib.loads(toml({"a": "b\udcff"})) == {"a": "b?"}
