"""`decode --template`: values named and scaled by a push layout, beside the typed ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

FOLDER = Path(__file__).parents[1] / "captures"
CAPTURES = {each["name"]: each for each in json.loads((FOLDER / "public.json").read_text())}


def decoded(run: Run, name: str, template: str, *more: str) -> dict[str, Any]:
    capture = CAPTURES[name]
    options = ["decode", "--json", "--template", template, *more]
    if capture["encryption_key"]:
        options += ["--encryption-key", capture["encryption_key"], "--authentication-key-unknown"]
    done = run(*options, stdin=capture["hex"])
    assert done.returncode == 0, done.stderr
    message: dict[str, Any] = json.loads(done.stdout)["messages"][0]
    assert message["values"] == capture["messages"][0]["values"]
    return message


def scaled(message: dict[str, Any]) -> dict[str, str]:
    return {
        each["object"]: f"{each['scaled']} {each['unit_symbol']}".strip()
        for each in message["readings"]
        if "scaled" in each
    }


@pytest.mark.parametrize(
    ("name", "template", "expected"),
    [
        (
            "kaifa-list3-hdlc",
            "push-kaifa",
            {"1.0.1.7.0.255": "1609 W", "1.0.31.7.0.255": "4.885 A", "1.0.32.7.0.255": "235.8 V"},
        ),
        (
            "kaifa-sweden-hdlc",
            "push-kaifa",
            {"1.0.1.7.0.255": "586 W", "1.0.31.7.0.255": "0.301 A", "1.0.32.7.0.255": "231.9 V"},
        ),
        (
            "aidon-6534-list3",
            "push-aidon",
            {"1.0.1.8.0.255": "163777250 Wh", "1.0.32.7.0.255": "234.3 V"},
        ),
        (
            "kamstrup-sweden",
            "push-kamstrup-omnipower",
            {"1.1.1.7.0.255": "826 W", "1.1.31.7.0.255": "2.37 A", "1.1.32.7.0.255": "232 V"},
        ),
        (
            "landisgyr-e450-cyprus",
            "push-landisgyr-e450",
            {"1.0.1.7.0.255": "187 W", "1.0.31.7.0.255": "1.30 A", "1.0.32.7.0.255": "238 V"},
        ),
        (
            "landisgyr-e570-encrypted",
            "push-landisgyr-e570",
            {"1.1.1.8.0.255": "862055 Wh", "1.0.13.7.0.255": "1.000"},
        ),
        (
            "iskra-am550-slovenia",
            "push-iskra-am550",
            {"1.0.1.7.0.255": "1393 W", "1.0.71.7.0.255": "5.97 A", "1.0.61.7.0.255": "1325 W"},
        ),
        (
            "iskra-am550-swiss",
            "push-iskra-am550",
            {"1.0.32.7.0.255": "233.6 V"},
        ),
        (
            "siemens-im350",
            "push-siemens-im350",
            {"1.0.1.8.0.255": "2946830 Wh", "1.0.4.8.0.255": "2116972 varh"},
        ),
        (
            "siemens-im350-wels",
            "push-siemens-im350",
            {"1.0.1.8.0.255": "3531997 Wh", "1.0.1.7.0.255": "146 W"},
        ),
        (
            "sagemcom-evn-overflow",
            "push-sagemcom-t210",
            {"1.0.1.7.0.255": "515 W", "1.0.13.7.0.255": "0.819", "1.0.32.7.0.255": "232.9 V"},
        ),
    ],
)
def test_published_frames_by_template(
    run: Run, name: str, template: str, expected: dict[str, str]
) -> None:
    assert expected.items() <= scaled(decoded(run, name, template)).items()


def test_a_reading_in_full(run: Run) -> None:
    message = decoded(run, "kaifa-list1-hdlc", "push-kaifa")
    assert message["readings"] == [
        {
            "object": "1.0.1.7.0.255",
            "attribute": 2,
            "value": 8135,
            "scaler": 0,
            "unit": 27,
            "unit_symbol": "W",
            "scaled": "8135",
        }
    ]
    assert message["captured_at"] == "2020-02-15T00:08:48+00:00"


def test_the_link_is_the_templates_unless_said(run: Run) -> None:
    message = decoded(run, "sagemcom-xt211", "push-sagemcom-xt211", "--link", "raw")
    assert scaled(message)["1.0.1.7.0.255"] == "1956 W"
    event = CAPTURES["event-notification-profile"]["hex"]
    done = run("decode", "--json", "--template", "push-wrapper", stdin=event)
    assert json.loads(done.stdout)["messages"][0]["readings_error"] == "no data-notification"
    capture = CAPTURES["kaifa-list1-hdlc"]["hex"]
    shown = run("decode", "--template", "push-kaifa", stdin=capture).stdout
    assert "8135 W" in shown


def test_a_template_of_ones_own(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "our-meter.toml"
    own.write_text(
        'extends = "push-kaifa"\ndescription = "ours"\n'
        '[push.scaler_units]\n"1.0.1.7.0.255" = { scaler = -3, unit = 27 }\n'
    )
    message = decoded(run, "kaifa-list1-hdlc", str(own))
    assert scaled(message) == {"1.0.1.7.0.255": "8.135 W"}


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("push-nobody", "there are: dsmr-5"),
        ("hexing-hdlc", "has no [push] part; these have:"),
        ("./nowhere.toml", "templates that ship: dsmr-5"),
    ],
)
def test_a_wrong_template_teaches_which_exist(run: Run, template: str, told: str) -> None:
    done = run("decode", "--template", template, stdin="")
    assert done.returncode == 2
    assert told in done.stderr


def test_a_file_that_is_no_template(run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('extends = "push"\nnonsense = 1\n')
    done = run("decode", "--template", str(wrong), stdin="")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
