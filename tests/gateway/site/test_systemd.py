"""The agent as a systemd service: it says when it is up, that it lives, and when it stops."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
BIN = Path(sys.executable).parent


def test_it_tells_systemd_that_it_is_up_alive_and_stopping(table):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        path = table.folder / "notify"
        systemd.bind(str(path))
        systemd.settimeout(20)
        log = table.folder / "agent.log"
        with log.open("wb") as stream:
            found = os.fstat(stream.fileno())
            agent = subprocess.Popen(
                [BIN / "hesper-gateway", "run", "-c", table.folder / "gateway.toml"],
                stderr=stream,
                env={
                    **os.environ,
                    "NOTIFY_SOCKET": str(path),
                    "WATCHDOG_USEC": "300000",
                    "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}",
                },
            )
        try:
            heard = [systemd.recv(99).decode() for _ in range(3)]
            assert heard == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
            agent.send_signal(signal.SIGTERM)
            while (word := systemd.recv(99).decode()) == "WATCHDOG=1":
                pass
            assert word == "STOPPING=1"
            assert agent.wait(20) == 0
        finally:
            agent.kill()
            agent.wait()
    lines = log.read_text().splitlines()
    assert lines
    assert all(line.startswith("<") for line in lines)
