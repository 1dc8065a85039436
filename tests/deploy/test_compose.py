"""compose.yaml: valid by the Compose Specification's own schema, and closed by default."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

HERE = Path(__file__).parent
SCHEMA_SHA256 = "d549057ebc2925f39f62799eab0db7b9e2c18b35b6c00595199116da3ed10e64"
SERVICES = ("broker", "influx", "cloud", "authority", "gateway")
OPERATOR = "operator"  # who runs a command in it ends it again


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The official schema, as published."""
    octets = (HERE / "compose-spec.json").read_bytes()
    assert hashlib.sha256(octets).hexdigest() == SCHEMA_SHA256
    document: dict[str, Any] = json.loads(octets)
    return document


@pytest.fixture
def compose(root) -> dict[str, Any]:
    """The compose file with its anchors resolved."""
    document: dict[str, Any] = yaml.safe_load((root / "deploy/compose.yaml").read_text())
    return document


def test_it_keeps_to_the_compose_specification(compose, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(compose, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("wrong", [{"port": ["1:1"]}, {"cap_drop": "ALL"}, {"healthcheck": []}])
def test_the_schema_would_notice(compose, schema, wrong):
    compose["services"]["broker"].update(wrong)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(compose, schema, cls=jsonschema.Draft202012Validator)


def test_every_part_is_there(compose):
    started = [name for name, each in compose["services"].items() if "profiles" not in each]
    assert (tuple(started), [*compose["services"]]) == (
        SERVICES,
        [*SERVICES[:4], OPERATOR, "gateway"],
    )


@pytest.mark.parametrize("name", [*SERVICES, OPERATOR])
def test_a_service_may_do_little(compose, name):
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].startswith("${HESPER_UID:?")
    assert not {"privileged", "network_mode", "pid", "cap_add"} & service.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_started_again(compose, name):
    service = compose["services"][name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_the_operator_is_there_for_a_command_and_has_the_whole_site(compose):
    operator = compose["services"][OPERATOR]
    assert (operator["restart"], operator["profiles"]) == ("no", [OPERATOR])
    held = {
        each for name in ("cloud", "authority") for each in compose["services"][name]["volumes"]
    }
    writable = {each for each in held if each.startswith("${") and not each.endswith(":ro")}
    assert set(operator["volumes"]) == writable


def test_nothing_is_published_beyond_loopback(compose):
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:${HESPER_WEB_PORT:-18080}:18080"]


def test_only_the_head_end_reaches_the_store(compose):
    on_store = {name for name, each in compose["services"].items() if "store" in each["networks"]}
    assert on_store == {"influx", "cloud", OPERATOR}
    assert compose["networks"]["store"]["internal"] is True
    assert compose["networks"]["mqtt"]["internal"] is True


def test_what_faces_the_web_holds_no_command_key(compose, root):
    volumes = compose["services"]["cloud"]["volumes"]
    for secret in (
        "state/keys/commands.key",
        "state/keys/requests.key",
        "state/keys/ca.key",
        "state/keys/vault.key",
        "authority.password",
    ):
        assert f"/dev/null:/var/lib/hesper/{secret}:ro" in volumes
    keys = (root / "cloud/hesper_cloud/keys.py").read_text()
    assert "commands.key" in keys
    assert "requests.key" in keys


def test_what_faces_the_web_cannot_write_what_the_authority_runs_by(compose):
    volumes = compose["services"]["cloud"]["volumes"]
    toml = "${HESPER_SITE:-./site}/cloud/cloud.toml:/var/lib/hesper/cloud.toml:ro"
    assert volumes.index(toml) > volumes.index("${HESPER_SITE:-./site}/cloud:/var/lib/hesper")


def test_what_the_authority_decides_is_not_for_the_head_end_to_write(compose, root):
    """A folder beside the head end's own: within that, it could put another in its place."""
    place = "${HESPER_SITE:-./site}/authority:/var/lib/authority"
    assert f"{place}:ro" in compose["services"]["cloud"]["volumes"]
    assert place in compose["services"]["authority"]["volumes"]
    assert "sqlite:////var/lib/authority/" in (root / "deploy/cloud.toml").read_text()


def test_files_of_the_repository_that_it_mounts_exist(compose, root):
    for service in compose["services"].values():
        for volume in service["volumes"]:
            if volume.startswith("../"):
                assert (root / "deploy" / volume.split(":")[0]).is_file()


def test_images_are_built_from_extras_that_exist(compose, root):
    declared = (root / "pyproject.toml").read_text()
    dockerfile = (root / "deploy/Dockerfile").read_text()
    for service in compose["services"].values():
        if "build" in service:
            assert f"\n{service['build']['args']['EXTRAS']} = [" in declared
            assert (root / "deploy" / service["build"]["context"] / "deploy/Dockerfile").is_file()
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        for name in copied.split():
            assert (root / name).exists()
            assert f"!{name}\n" in (root / ".dockerignore").read_text()
    assert "\nUSER hesper\n" in dockerfile
