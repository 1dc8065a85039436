"""Templates: inheritance, and errors that say where."""

from pathlib import Path

import pytest
from hesper_dlms import obis
from hesper_gateway import templates
from hesper_gateway.errors import ConfigError

BASE = """
description = "base"
verified = "unverified"
[link]
kind = "wrapper"
[associations.reading]
client_address = 2
[associations.management]
client_address = 1
authentication = "high-gmac"
ciphered = true
[times]
answer_s = 3
connect_s = 4
[snapshot]
registers = ["1.0.1.8.0.255", "1.0.2.8.0.255"]
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.mark.parametrize("name", templates.names())
def test_every_shipped_template_loads(name):
    template = templates.load(name)
    assert template.name == name
    assert template.description


def test_the_agreed_templates_are_there():
    assert {
        "generic-wrapper",
        "generic-hdlc",
        "hesper-sim",
        "hesper-sim-hdlc",
        "push-iskra-am550",
        "push-kaifa",
        "push-kamstrup-omnipower",
        "push-aidon",
        "push-landisgyr-e450",
        "push-landisgyr-e360",
    } <= set(templates.names())


def test_tables_are_merged_and_lists_replaced(tmp_path):
    child = 'extends = "base"\n[times]\nanswer_s = 9\n[snapshot]\nregisters = ["1.0.1.7.0.255"]\n'
    folder = write(tmp_path, base=BASE, child=child)
    template = templates.load_from(folder, "child")
    assert (template.times.answer_s, template.times.connect_s) == (9, 4)
    assert template.snapshot.registers == (obis.ACTIVE_POWER_IMPORT,)
    assert template.associations is not None
    assert template.associations.management.ciphered


@pytest.mark.parametrize(
    ("files", "name", "says"),
    [
        ({"base": BASE}, "nowhere", "no template is named 'nowhere'; there are: base"),
        ({"a": 'extends = "b"'}, "a", "no template is named 'b', wanted by template a"),
        ({"a": 'extends = "b"', "b": 'extends = "a"'}, "a", "in a circle: a > b > a"),
        ({"a": "extends = 3"}, "a", "extends must be the name of one template"),
        ({"a": "answer_s = "}, "a", "template a: not TOML"),
        (
            {"a": 'extends = "base"\n[times]\nanswer = 3', "base": BASE},
            "a",
            "times.answer: there is no",
        ),
        ({"a": BASE.replace("1.0.1.8.0.255", "1.8.0")}, "a", "'1.8.0' is no logical name"),
        ({"a": BASE + '[clock]\nzone = "Europe/Atlantis"'}, "a", "no time zone is named"),
        ({"a": 'description=""\nverified="unverified"\n[link]\nkind="raw"'}, "a", "needs [assoc"),
        ({"base": BASE}, "../base", "no template is named"),
    ],
)
def test_a_misfit_says_where_it_is(tmp_path, files, name, says):
    with pytest.raises(ConfigError) as failure:
        templates.load_from(write(tmp_path, **files), name)
    assert says in str(failure.value)
