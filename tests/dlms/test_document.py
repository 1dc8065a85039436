"""The examples of docs/dlms.md run as they stand, and what it counts is counted."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hesper_dlms.classes.registry import REGISTRY
from hesper_lab.ports import free_port

PAGE = (Path(__file__).resolve().parents[2] / "docs/dlms.md").read_text()
METER, CLIENT, PUSH = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LIMIT_S = 60.0


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.integration
def test_the_client_reads_the_meter() -> None:
    port = free_port()
    meter = subprocess.Popen([sys.executable, "-c", METER.replace("4059", str(port))])
    try:
        deadline = time.monotonic() + LIMIT_S
        while not answers(port):
            assert meter.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        done = subprocess.run(
            [sys.executable, "-c", CLIENT.replace("4059", str(port))],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        meter.kill()
        meter.wait()
    assert (done.returncode, done.stdout) == (0, "1234567\n"), done.stderr


def test_a_push_is_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PUSH, "docs/dlms.md", "exec"), {})
    assert capsys.readouterr().out == "['hex:07ea0115040a000000ffc400', 12345678]\n"


def test_as_many_classes_as_it_says() -> None:
    assert f"{len({class_id for class_id, _ in REGISTRY})} interface classes" in PAGE
