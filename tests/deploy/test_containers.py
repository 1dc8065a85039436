"""The images and the compose file on a real engine; skipped, saying so, where there is none."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hesper_lab.ports import free_port
from testcontainers.compose import DockerCompose
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
COMPILED = """
import asyncio, hesper_contracts, pathlib
for each in (asyncio, hesper_contracts):
    assert pathlib.Path(each.__cached__).exists(), each
"""
PING = "import docker; docker.from_env().ping()"


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """A Docker engine, asked in a process of its own because a refusal leaves sockets open."""
    asked = subprocess.run([sys.executable, "-c", PING], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip("no Docker engine is reachable from here")


def has_compose() -> bool:
    docker = shutil.which("docker")
    command = [docker or "docker", "compose", "version"]
    return docker is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("extras", "script"), [("gateway", "hesper-gateway"), ("ui", "hesper-cloud")]
)
def test_an_image_is_built_and_runs_as_nobody_in_particular(root, extras, script):
    image = DockerImage(
        path=root, dockerfile_path="deploy/Dockerfile", tag=f"hesper-{extras}:test",
        buildargs={"EXTRAS": extras},
    )  # fmt: skip
    with image, DockerContainer(str(image)).with_command("sleep 60") as container:
        status, said = container.exec([script, "--help"])
        assert status == 0, said
        assert container.exec(["id", "-u"])[1].strip() == b"10001"
        assert container.exec(["touch", "/opt/hesper/x"])[0] != 0
        status, said = container.exec(["python", "-c", COMPILED])
        assert status == 0, said


@pytest.fixture
def site(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The whole of compose.yaml on a folder and a port of its own; its console's address."""
    if not has_compose():
        pytest.skip("the engine's client has no `docker compose`")
    port = free_port()
    for name, value in {
        "COMPOSE_PROJECT_NAME": f"hesper-test-{port}",
        "HESPER_SITE": str(tmp_path / "site"),
        "HESPER_WEB_PORT": str(port),
    }.items():
        monkeypatch.setenv(name, value)
    user = 10001 if os.getuid() == 0 else os.getuid()
    monkeypatch.setenv("HESPER_UID", str(user))
    monkeypatch.setenv("HESPER_GID", str(user if os.getuid() == 0 else os.getgid()))
    command = [root / "deploy/prepare", "gw-1"]
    prepared = subprocess.run(command, capture_output=True, text=True, check=False)
    assert prepared.returncode == 0, prepared.stderr
    with DockerCompose(root / "deploy", compose_file_name="compose.yaml", build=True, wait=True):
        yield f"http://127.0.0.1:{port}"


def test_the_site_comes_up_healthy(site):
    with urllib.request.urlopen(f"{site}/health", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"
