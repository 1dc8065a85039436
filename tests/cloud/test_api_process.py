"""The head end as its user runs it: the command line, two processes, a real Mosquitto."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import Told, tell
from hesper_contracts.signing import Signer
from hesper_lab.ports import answers, free_port
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = pytest.mark.integration
PROGRAM = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
START_S, DEADLINE_S = 200.0, 60.0
PASSWORD = "asking-politely-1"
METER = {
    "id": "HES12642984",
    "gateway": "gw-1",
    "logical_device_name": "HSP0012642984000",
    "customer": "Ada Byron",
}


class Installation:
    """A folder with a ``cloud.toml``, and the command line that works on it."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "cloud.toml"
        self.config.write_text(
            f"[broker]\nport = {broker_port}\n[web]\nport = {self.port}\n", encoding="utf-8"
        )
        self.processes: list[subprocess.Popen[bytes]] = []

    def tell(self, *words: str, text: str = "") -> Told:
        """Runs the command line on it."""
        return tell(self.config, *words, text=text)

    def start(self) -> None:
        for role in ("authority", "run"):
            command = [*PROGRAM, role, "--config", str(self.config)]
            self.processes.append(subprocess.Popen(command))
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert all(each.poll() is None for each in self.processes)
            if answers(f"{self.url}/health"):
                return
            time.sleep(0.05)
        raise AssertionError("the head end did not come up")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> list[int]:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(DEADLINE_S) for process in self.processes]
        self.processes.clear()
        return codes


@pytest.fixture
def installation(tmp_path, broker) -> Iterator[Installation]:
    installation = Installation(tmp_path, broker.port)
    yield installation
    for process in installation.processes:
        process.kill()
        process.wait()


def set_up(installation: Installation) -> None:
    papers = installation.folder / "meters.json"
    papers.write_text(json.dumps([METER]))
    key = Signer.generate().public_key.hex()
    for words, text in (
        (("init", "--policy", "demo"), ""),
        (("user", "add", "ann", "--role", "operator", "--password-file", "-"), PASSWORD),
        (("gateway", "add", "gw-1", "--public-key", key), ""),
        (("meter", "import", str(papers)), ""),
    ):
        done = installation.tell(*words, text=text)
        assert done.returncode == 0, done.stderr


def refused(installation: Installation, *words: str) -> str:
    done = installation.tell(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_from_nothing_to_a_command_and_a_clean_stop(installation):
    assert "init" in refused(installation, "audit", "verify")
    set_up(installation)
    installation.start()
    with httpx.Client(base_url=installation.url, timeout=60.0) as client:
        login = client.post(
            "/api/v1/auth/login", json={"username": "ann", "password": PASSWORD}
        ).json()
        who = {"Authorization": f"Bearer {login['token']}"}
        meters = client.get("/api/v1/meters", headers=who).json()
        assert [row["customer"] for row in meters["rows"]] == ["Ada Byron"]
        command = {"meter": METER["id"], "action": "reconnect", "reason": "paid"}
        asked = client.post(
            "/api/v1/commands", json=command, headers=who | {"Idempotency-Key": "1"}
        )
        assert asked.json()["state"] in ("queued", "sent")
        frame = live_frame(installation, who)
        assert frame["figures"]["meters_total"] == 1
        assert [row["id"] for row in frame["commands"]] == [asked.json()["id"]]
    assert installation.stop() == [0, 0]
    verified = installation.tell("audit", "verify")
    assert (verified.returncode, "intact" in verified.stdout) == (0, True)


def live_frame(installation: Installation, who: dict[str, str]) -> Any:
    url = installation.url.replace("http", "ws") + "/api/v1/live"
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus):
            connect(url, additional_headers=headers)
    with connect(url, additional_headers=who) as socket_:
        return json.loads(socket_.recv(timeout=DEADLINE_S))


def test_what_a_person_can_mend_is_said_in_one_line(installation):
    assert "no policy 'wild'" in refused(installation, "init", "--policy", "wild")
    assert installation.tell("init").returncode == 0
    missing = str(installation.folder / "no-such-file")
    user = ("user", "add", "ann", "--password-file", missing, "--role")
    assert "no-such-file" in refused(installation, *user, "operator")
    short = installation.folder / "short"
    short.write_text("short")
    user = ("user", "add", "ann", "--password-file", str(short), "--role")
    assert "at least" in refused(installation, *user, "operator")
    assert "no role" in refused(installation, *user, "boss")
    assert "64 hex" in refused(installation, "gateway", "add", "gw-1", "--public-key", "ff")
    add = ("gateway", "add", "gw-1", "--public-key")
    assert installation.tell(*add, "1a" * 32).returncode == 0
    assert "--replace" in refused(installation, *add, "2b" * 32)
    assert installation.tell(*add, "2b" * 32, "--replace").returncode == 0
    meter = ("meter", "add", "HES1", "--gateway")
    assert "no gateway gw-9; on record: gw-1" in refused(installation, *meter, "gw-9")
    assert installation.tell(*meter, "gw-1").returncode == 0
    papers = installation.folder / "bad.json"
    papers.write_text('[{"id": "HES1"}]')
    assert "gateway" in refused(installation, "meter", "import", str(papers))
    shown = installation.tell("key", "show", "receipts")
    assert [len(word) for word in shown.stdout.split()] == [16, 64]
