"""`template learn` against simulated meters; the gateway then commissions them by what it wrote."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hesper_contracts.signing import Signer
from hesper_gateway import templates

pytestmark = pytest.mark.integration

Gateway = Callable[..., subprocess.CompletedProcess[str]]


class Way(NamedTuple):
    """A meter of the fleet and one of its clients."""

    line: str
    client: int
    mechanism: str
    options: tuple[str, ...] = ()


WAYS = [
    Way("lan-1", 1, "gmac"),
    Way("lan-2", 2, "lls"),
    Way("lan-1", 3, "md5"),
    Way("lan-2", 4, "sha1"),
    Way("lan-3", 6, "sha256"),
    Way("lan-3", 7, "ecdsa", ("--suite", "1")),
    Way("lan-4", 1, "gmac", ("--suite", "2")),
    Way("lan-6", 1, "gmac", ("--referencing", "short-name")),
    Way("hdlc-1", 1, "gmac", ("--link", "hdlc", "--physical", "17")),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.line}-{way.mechanism}")
def test_a_learned_template_commissions_the_meter(
    fleet: Any, gateway: Gateway, tmp_path: Path, way: Way
) -> None:
    learned = learn(fleet, gateway, tmp_path, way)
    assert learned.returncode == 0, learned.stderr
    template = templates.load_own(tmp_path / "templates", "learned")
    assert template.verified == "unverified"
    assert template.limits.selective_access == "range"
    assert (template.referencing.names == "short-name") is (way.line == "lan-6")
    Signer.generate().save(tmp_path / "gateway.key")
    config = write_config(fleet, tmp_path, way)
    done = gateway("commission", "M1", "--config", str(config), "--json")
    steps = {each["hop"]: each for each in json.loads(done.stdout)["steps"]}
    passed = {hop for hop, each in steps.items() if each["outcome"] == "pass"}
    assert {"reading association", "clock", "first reading", "relay state"} <= passed, steps
    assert "1.0.1.8.0.255" in steps["first reading"]["found"]


def learn(fleet: Any, gateway: Gateway, folder: Path, way: Way) -> subprocess.CompletedProcess[str]:
    keys = folder / "keys.json"
    keys.write_text(json.dumps(fleet.secrets(way.line, way.client)))
    keys.chmod(0o600)
    (folder / "templates").mkdir()
    host, port = fleet.address(way.line)
    reach = ["--host", host, "--port", str(port), "--client", str(way.client)]
    proof = ["--authentication", way.mechanism, "--keys-file", str(keys), *way.options]
    return gateway("template", "learn", *reach, *proof, str(folder / "templates" / "learned.toml"))


def write_config(fleet: Any, folder: Path, way: Way) -> Path:
    host, port = fleet.address(way.line)
    config = folder / "gateway.toml"
    config.write_text(
        f"""
gateway = "gw-templates"
broker = {{ host = "127.0.0.1", port = 9 }}

[[lines]]
name = "lan"
kind = "tcp"
host = "{host}"
port = {port}

[[meters]]
id = "M1"
line = "lan"
template = "learned"
keys_file = "keys.json"
logical_device_name = "{fleet.meter(way.line)["logical_device_name"]}"
"""
    )
    return config


def test_nothing_is_written_over_and_a_refusal_is_told(
    fleet: Any, gateway: Gateway, tmp_path: Path
) -> None:
    wrong = Way("lan-1", 2, "lls", ("--password", "never"))
    refused = learn(fleet, gateway, tmp_path, wrong)
    assert (refused.returncode, "cannot be learned" in refused.stderr) == (1, True)
    assert "try: authentication-failure: the password" in refused.stderr
    file = tmp_path / "templates" / "learned.toml"
    assert not file.exists()
    file.write_text("kept")
    again = gateway("template", "learn", "--host", "127.0.0.1", str(file))
    assert (again.returncode, file.read_text()) == (2, "kept")
    assert again.stderr == f"{file}: is there already; --overwrite replaces it\n"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("nowhere/acme.toml", "there is no folder {0}/nowhere: mkdir {0}/nowhere"),
        ("acme.json", "a template's file ends in .toml"),
    ],
)
def test_where_no_template_can_be_written_the_one_reason_is_told(
    gateway: Gateway, tmp_path: Path, file: str, said: str
) -> None:
    done = gateway("template", "learn", "--host", "127.0.0.1", str(tmp_path / file))
    told = f"{tmp_path / file}: {said.format(tmp_path)}\n"
    assert (done.returncode, done.stderr) == (2, told)
