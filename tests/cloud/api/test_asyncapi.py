"""docs/asyncapi.yaml says what the code does: topics, first octets, messages of the WebSocket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hesper_cloud.live.places import KINDS
from hesper_contracts.frame import LETTERS, VERSION, Encoding, Kind
from hesper_contracts.topics import DOWN, UP, Topics

PATH = Path(__file__).parents[3] / "docs" / "asyncapi.yaml"
SAID_BY_CLIENTS = {"join-room", "leave-room", "meter-update", "follow"}
ANSWERS = {"joined", "left", "receipt", "problem", "missed", "heartbeat"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(yaml.safe_load(PATH.read_text(encoding="utf-8")))


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, value in part.items():
            yield from [value] if name == "$ref" else references(value)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def found(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/")]
    return document


def test_every_reference_leads_somewhere(document):
    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        assert found(document, reference) is not None


def test_every_topic_of_a_gateway_is_there_and_no_other(document):
    topics, addresses = Topics("{root}"), {}
    for name, channel in document["channels"].items():
        addresses[name] = channel["address"].replace("{gateway}", "gw-1")
    expected = {f"up/{kind}": topics.up("gw-1", kind) for kind in UP}
    expected |= {f"down/{kind}": topics.down("gw-1", kind) for kind in DOWN}
    of_gateways = {n: a for n, a in addresses.items() if n.startswith(("up/", "down/"))}
    assert of_gateways == expected
    status = topics.cloud_status("ingest", "main")
    assert addresses["cloud/status"].format(root="{root}", role="ingest", instance="main") == status


def test_the_first_octets_of_payloads_are_those_of_the_code(document):
    letters = {letter: kind for kind, letter in LETTERS.items()}
    said: dict[Kind, set[Encoding]] = {}
    for message in document["components"]["messages"].values():
        for octets in message.get("x-octets", "").split():
            assert (octets[0], octets[2]) == ("H", str(VERSION))
            said.setdefault(letters[octets[1]], set()).add(Encoding(octets[3]))
    assert said.keys() == set(Kind) - {Kind.CONFIG}
    assert said[Kind.READINGS] == {Encoding.COLUMNS, Encoding.COLUMNS_ZSTD}


def test_the_websocket_says_what_the_code_says(document):
    messages = document["channels"]["live"]["messages"]
    assert messages.keys() == {*KINDS, *SAID_BY_CLIENTS, *ANSWERS}
    for name, reference in messages.items():
        assert name in str(found(document, reference["$ref"])) or name in {"joined", "left"}
